//! The mark: which positions and triggers a key speaks for, and how surprising it is that a suspect agrees.
//!
//! Everything follows from seeds and the owner's public key, byte for byte as docs/protocol.md says; embedding and
//! testing share the same functions. The test is one binomial tail, exact whatever the suspect is.
//!
//! ```
//! use counterfoil_mark::{Chance, Tally, log2_upper_tail};
//!
//! // 13,400 kept positions of a panel, 9,000 of them with chip +1
//! let tally = Tally::new(13_400, 9_000).expect("no more hits than trials");
//! assert!((log2_upper_tail(tally, Chance::one_in(2)).bits() - -1168.704_450_3).abs() < 1e-5);
//! ```
//!
//! In reading order: [`panels`] splits a carrier's positions over the panels, [`chips`] and [`ChipMap`] give them
//! signs, [`ChipReader`] gives them for any run of positions, [`TriggerSet`] derives query images and labels;
//! [`Reading`] says which positions a suspect keeps, with [`Balanced`] and [`Cut`] for suspects without zeros and
//! [`assign`] for re-ordered ones; [`tally`] counts, and [`log2_upper_tail`] judges. [`plan`] embeds, by swaps within
//! each carrier, and [`plan_found`] tops up what was found under the key; [`plan_thinned`] drops positions where there
//! is nothing to swap; [`prepare_licensee`] marks a licensee's copy on top of that. The paper's key mask: a
//! [`Strategy`] says which positions matter, [`lock`] holds them back, [`unlock`] gives them back. [`qr`] is apart from
//! all this: a code that anybody can read, and anybody can lay over.
//!
//! Absent on purpose: keys, claims and disclosures (`counterfoil-claim`), files (`counterfoil-ticket`), verdicts
//! (`counterfoil-verify`).

mod allot;
mod assignment;
mod balance;
mod binomial_tail;
mod candidate;
mod chip;
mod chip_planes;
mod cut;
mod licensee;
mod lock;
mod panel;
mod plan;
pub mod qr;
mod reading;
mod saddle_point;
mod stamp;
mod stamp_settings;
mod strategy;
mod stream;
mod swap;
mod tally;
mod thin;
mod trigger;
mod turn;
mod turnover;

pub use assignment::{assign, log2_orders};
pub use binomial_tail::{Chance, Log2P, hits_for, log2_upper_tail};
pub use candidate::{Candidate, Ranking, ordered};
pub use chip::{Chip, ChipMap, ChipReader, chip_map, chips};
pub use chip_planes::ChipPlanes;
pub use cut::{Balanced, Cut, RankRoom, runs_of_rows};
pub use lock::{Certainty, LockError, Locked, lock, unlock};
pub use panel::{NO_PANEL, panels};
pub use plan::{CarrierPlan, PanelPlan, Plan, plan, plan_found, plan_found_thinned, plan_thinned};
pub use reading::{BLIND_DENSITIES, BLIND_DILUTION_BITS, EITHER_BITS, RankDensity, Reading, charge};
pub use stamp::{KeyedFinding, Prepared, StampRequest, Stamped, StampingError, masks_of, prepare, prepare_licensee};
pub use stamp_settings::{StampError, SwapSettings};
pub use strategy::{Betweenness, ErrorBound, Estimate, Importance, Magnitude, Paths, Random, Strategy, StrategyError};
pub use swap::{Moves, Way};
pub use tally::{Tally, tally};
pub use trigger::{MAX_TRIGGER_BYTES, TriggerError, TriggerSet, usual_triggers};
pub use turn::Turn;
pub use turnover::{after_turnover, strength_for_turnover, turnover_tolerance};
