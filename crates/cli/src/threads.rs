//! How many threads compute: rayon reads that from the environment, and believes any number.

use crate::Error;

/// Most threads that may be asked for. Rayon starts them all before it does anything.
const MAX_THREADS: usize = 1024;

/// Refuses a number of threads that no machine has.
pub(crate) fn check() -> Result<(), Error> {
    for name in ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
        let Ok(found) = std::env::var(name) else { continue };
        // Rayon ignores what is no number.
        if found.parse::<usize>().is_ok_and(|threads| threads > MAX_THREADS) {
            return Err(Error::Variable { name, found, expected: "a number of threads up to 1024" });
        }
    }
    Ok(())
}
