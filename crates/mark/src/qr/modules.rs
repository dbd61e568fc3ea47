//! Modules of a code as kernels of a carrier: opened, closed, and as many positions kept as before.

use std::cmp::Reverse;
use std::ops::Range;

use counterfoil_ticket::{Carrier, Mask};

use super::Place;
use super::layout::Layout;

/// What a kernel is to the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A dark data module: keeps at least one position, more if none of them is strong.
    Dark,
    /// A light one: keeps none.
    Light,
    /// None of its data modules.
    Free,
}

/// A carrier while it is changed.
pub(super) struct Work<'a> {
    pub(super) mask: Mask,
    before: &'a Mask,
    strong: &'a Mask,
    ranks: &'a [(u32, u32)],
    taps: usize,
    /// What a dark kernel without a strong position keeps at least.
    weak_kept: usize,
    roles: Vec<Role>,
    /// Kernels that keep a position and kept none.
    pub(super) opened: usize,
    /// Kernels that kept positions and keep none.
    pub(super) closed: usize,
}

/// The roles of all kernels of a carrier.
pub(super) fn roles(carrier: &Carrier, layout: &Layout, code: &[u64], place: &Place) -> Vec<Role> {
    let columns = carrier.shape.inp as usize;
    let mut roles = vec![Role::Free; carrier.shape.out as usize * columns];
    for &(row, column) in &layout.stream {
        let is_dark = code[row] >> column & 1 == 1;
        roles[(place.row + row) * columns + place.column + column] = if is_dark { Role::Dark } else { Role::Light };
    }
    roles
}

impl<'a> Work<'a> {
    pub(super) fn new(
        carrier: &Carrier,
        [before, strong]: [&'a Mask; 2],
        ranks: &'a [(u32, u32)],
        roles: Vec<Role>,
        weak_kept: usize,
    ) -> Self {
        let taps = carrier.shape.taps();
        let weak_kept = weak_kept.min(taps);
        Self { mask: before.clone(), before, strong, ranks, taps, weak_kept, roles, opened: 0, closed: 0 }
    }

    /// Positions of a kernel.
    fn kernel(&self, kernel: usize) -> Range<usize> {
        kernel * self.taps..(kernel + 1) * self.taps
    }

    fn kept_of(&self, kernel: usize) -> usize {
        self.kernel(kernel).filter(|&position| self.mask.keeps(position)).count()
    }

    /// What a dark module keeps at least.
    fn least_of(&self, kernel: usize) -> usize {
        let is_strong = self.kernel(kernel).any(|position| self.strong.keeps(position));
        if is_strong { 1 } else { self.weak_kept }
    }

    /// Closes the kernels of light modules, and has those of dark ones keep what they must at least, at their best positions.
    pub(super) fn set_modules(&mut self) {
        for kernel in 0..self.roles.len() {
            let kept = self.kept_of(kernel);
            match self.roles[kernel] {
                Role::Dark => {
                    let mut pruned: Vec<usize> = self.kernel(kernel).filter(|&p| !self.mask.keeps(p)).collect();
                    pruned.sort_unstable_by_key(|&position| Reverse(self.ranks[position]));
                    let wanted = self.least_of(kernel).saturating_sub(kept);
                    pruned[..wanted].iter().for_each(|&position| self.mask.set(position, true));
                    self.opened += usize::from(kept == 0);
                }
                Role::Light if kept > 0 => {
                    self.kernel(kernel).for_each(|position| self.mask.set(position, false));
                    self.closed += 1;
                }
                Role::Light | Role::Free => {}
            }
        }
    }

    /// Makes up for that: drops what matters least, or adds what matters most, but changes no module. `None`
    /// where that does not do.
    pub(super) fn balance(&mut self) -> Option<()> {
        let (target, mut kept) = (self.before.kept(), self.mask.kept());
        let is_more = kept > target;
        // What has just been pruned or kept is no candidate.
        let may_change = |position: &usize| {
            self.before.keeps(*position) == is_more
                && self.mask.keeps(*position) == is_more
                && self.roles[position / self.taps] != Role::Light
        };
        let mut candidates: Vec<usize> = (0..self.mask.size()).filter(may_change).collect();
        if is_more {
            candidates.sort_unstable_by_key(|&position| self.ranks[position]);
        } else {
            candidates.sort_unstable_by_key(|&position| Reverse(self.ranks[position]));
        }
        for position in candidates {
            if kept == target {
                break;
            }
            let kernel = position / self.taps;
            if is_more && self.roles[kernel] == Role::Dark && self.kept_of(kernel) <= self.least_of(kernel) {
                continue;
            }
            self.mask.set(position, !is_more);
            if is_more { kept -= 1 } else { kept += 1 }
        }
        (kept == target).then_some(())
    }
}
