//! The USB core: enumeration, configurations, power.
