//! What a plan must hold.
