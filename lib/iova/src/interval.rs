//! Service intervals: microseconds to a power of two of the bus's interval.

use usb_types::Speed;

/// The interval is not one that a periodic endpoint can have.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BadInterval;

/// The exponent of `microseconds` in the intervals of `speed`: frames of 1 ms at
/// low and full speed, microframes of 125 us above (USB 2.0 table 9-13: 1 to 16
/// as bInterval is 0 to 15 here).
///
/// # Errors
/// When it is no whole number of intervals, not a power of two of them, or more
/// than 2^15.
pub const fn service_interval(speed: Speed, microseconds: u32) -> Result<u8, BadInterval> {
    const MAX_EXPONENT: u32 = 15;
    let unit = match speed {
        Speed::Low | Speed::Full => 1000,
        Speed::High | Speed::Super | Speed::SuperPlus => 125,
    };
    if !microseconds.is_multiple_of(unit) {
        return Err(BadInterval);
    }
    let intervals = microseconds / unit;
    if !intervals.is_power_of_two() || intervals.trailing_zeros() > MAX_EXPONENT {
        return Err(BadInterval);
    }
    Ok(intervals.trailing_zeros() as u8)
}
