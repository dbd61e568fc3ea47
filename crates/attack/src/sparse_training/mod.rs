//! Sparse retraining that moves the mask, blindly or away from known panels.

pub(crate) mod densify_reprune;
pub(crate) mod re_imp;
pub(crate) mod reverse_reinforce;
pub(crate) mod rewire;
