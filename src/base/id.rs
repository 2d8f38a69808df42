//! Names for things that are counted, each its own type so that two of them cannot be swapped.
//!
//! Slots are *stable*: the control thread hands a slot to a listener, group or backend when it
//! first appears and keeps it across epochs, so that counters, pools and cursors survive every
//! change of the table. An index, in contrast, is a position inside one epoch's table.

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number as a position in a slice.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number! {
    /// Which worker core, counted from 0 in the order of the configuration (not the CPU number).
    CoreId(u16)
}
number! {
    /// Stable slot of a listener, kept across epochs.
    ListenerSlot(u32)
}
number! {
    /// Stable slot of a group, kept across epochs.
    GroupSlot(u32)
}
number! {
    /// Stable slot of a backend (one address within one group), kept across epochs.
    BackendSlot(u32)
}
number! {
    /// A route among all this node has ever had: never given to another one.
    RouteSerial(u32)
}
number! {
    /// Position of a group in one epoch's table.
    GroupIndex(u32)
}
number! {
    /// Position of a shard rule in one epoch's table.
    ShardIndex(u32)
}
number! {
    /// Position of a backend in its group, in one epoch's table.
    BackendIndex(u32)
}
