//! The audio class: streams, formats, clocks, controls.
