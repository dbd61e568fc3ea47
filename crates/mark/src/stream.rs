//! `HKDF` and `STREAM(key)` of docs/protocol.md, "Conventions": the two primitives behind panels, chips and triggers.

use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20::{ChaCha20, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Bytes made at a time: a whole number of ChaCha20 blocks (64), small enough for the first-level cache.
const BUFFER: usize = 4096;

/// `HKDF(ikm, salt, info)`: HKDF-SHA-256 (RFC 5869), 32 bytes; `info` is given in parts, to be joined.
pub(crate) fn derive(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand_multi_info(info, key.as_mut_slice())
        .expect("32 bytes are within HKDF's 255 * 32");
    key
}

/// `STREAM(key)`: the ChaCha20 key stream (RFC 8439), zero nonce, block counter from 0, byte by byte.
///
/// Panics after the cipher's 256 GiB: no carrier and no trigger set comes near.
pub(crate) struct KeyStream {
    cipher: ChaCha20,
    buffer: Box<[u8; BUFFER]>,
    used: usize,
}

impl KeyStream {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let cipher = ChaCha20::new(&Key::from(*key), &Nonce::default());
        Self { cipher, buffer: Box::new([0; BUFFER]), used: BUFFER }
    }

    /// The stream from byte number `start` on.
    pub(crate) fn from_byte(key: &[u8; 32], start: usize) -> Self {
        let mut stream = Self::new(key);
        stream.cipher.seek(start as u64);
        stream
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.refill_if_used_up();
        let byte = self.buffer[self.used];
        self.used += 1;
        byte
    }

    /// The next `count` bytes, handed on in order in slices of a cache's size.
    pub(crate) fn slices(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        let mut left = count;
        while left > 0 {
            self.refill_if_used_up();
            let size = left.min(BUFFER - self.used);
            each(&self.buffer[self.used..self.used + size]);
            self.used += size;
            left -= size;
        }
    }

    fn refill_if_used_up(&mut self) {
        if self.used == BUFFER {
            self.cipher.write_keystream(self.buffer.as_mut_slice());
            self.used = 0;
        }
    }

    /// The next four bytes as a big-endian word.
    pub(crate) fn word(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }
}

impl Drop for KeyStream {
    /// The stream of a sealed panel is as secret as its seed.
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, appendix A.1, test vectors 1 and 2: zero key, zero nonce, block counters 0 and 1.
    #[test]
    fn the_stream_is_that_of_rfc_8439() {
        let mut stream = KeyStream::new(&[0; 32]);
        let bytes: Vec<u8> = (0..128).map(|_| stream.byte()).collect();
        assert_eq!(
            hex::encode(&bytes[..64]),
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        );
        assert_eq!(
            hex::encode(&bytes[64..]),
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
        );
    }

    #[test]
    fn slices_are_the_bytes_in_order() {
        let mut stream = KeyStream::new(&[7; 32]);
        let expected: Vec<u8> = (0..3 * BUFFER + 5).map(|_| stream.byte()).collect();
        let mut stream = KeyStream::new(&[7; 32]);
        let mut found = vec![stream.byte()];
        stream.slices(2 * BUFFER, |bytes| found.extend(bytes));
        found.push(stream.byte());
        stream.slices(BUFFER + 3, |bytes| found.extend(bytes));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_stream_can_be_entered_anywhere() {
        let mut stream = KeyStream::new(&[7; 32]);
        let expected: Vec<u8> = (0..2 * BUFFER).map(|_| stream.byte()).collect();
        for start in [0, 1, 63, 64, BUFFER - 1, BUFFER + 7] {
            let mut stream = KeyStream::from_byte(&[7; 32], start);
            assert!(expected[start..].iter().all(|&byte| stream.byte() == byte), "from byte {start}");
        }
    }

    /// RFC 5869, appendix A.1, first 32 bytes of the output.
    #[test]
    fn hkdf_is_that_of_rfc_5869() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let key = derive(&[0x0b; 22], &salt, &[&[0xf0, 0xf1, 0xf2, 0xf3], &[0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9]]);
        assert_eq!(hex::encode(*key), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }
}
