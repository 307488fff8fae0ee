//! Test models shared by the modules.

pub(crate) mod naive;
