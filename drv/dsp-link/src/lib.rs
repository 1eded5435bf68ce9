//! Datagrams to and from the DSP.
