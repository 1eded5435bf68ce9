//! The offload broker: sessions, votes, the QMI service.
//!
//! The DSP asks it for streams (QMI service 0x41D over `dsp_link`); it has them
//! opened (`usb_audio`), held up (`usb_core`), driven (`xhci`) and mapped
//! (`iommu`), and takes everything down again in one order, whatever ended it
//! (DESIGN rules 4 and 6). Clients on the application core ask it for routes:
//! then it tells the DSP to start.
//!
//! The core (`broker` and what it uses) is pure; only `server` knows of
//! messages, tickets and time. The broker knows neither descriptors nor
//! registers nor tables: it passes on what their owners hand it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod backend;
pub mod broker;
pub mod buffers;
pub mod cards;
pub mod ops;
pub mod refusal;
pub mod request;
pub mod response;
pub mod service;
pub mod session;
pub mod teardown;
pub mod votes;
