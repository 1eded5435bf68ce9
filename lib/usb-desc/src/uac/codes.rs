//! The numbers of the audio class: interfaces, descriptors, requests.
//!
//! Audio 1.0 appendix A; Audio 2.0 and 3.0 for the protocol bytes; BADD for
//! its function subclasses.

/// `bInterfaceClass` AUDIO.
pub const CLASS_AUDIO: u8 = 0x01;
/// `bInterfaceSubClass` AUDIOCONTROL.
pub const SUBCLASS_CONTROL: u8 = 0x01;
/// `bInterfaceSubClass` AUDIOSTREAMING.
pub const SUBCLASS_STREAMING: u8 = 0x02;
/// `bInterfaceProtocol` of Audio 1.0.
pub const PROTOCOL_1: u8 = 0x00;
/// `bInterfaceProtocol` of Audio 2.0.
pub const PROTOCOL_2: u8 = 0x20;
/// `bInterfaceProtocol` of Audio 3.0.
pub const PROTOCOL_3: u8 = 0x30;
/// First `bFunctionSubClass` of a BADD profile, GENERIC_IO.
pub const BADD_FIRST: u8 = 0x20;
/// Last `bFunctionSubClass` of a BADD profile, SPEAKERPHONE.
pub const BADD_LAST: u8 = 0x27;

/// Audio control: HEADER.
pub const HEADER: u8 = 0x01;
/// Audio control: INPUT_TERMINAL.
pub const INPUT_TERMINAL: u8 = 0x02;
/// Audio control: OUTPUT_TERMINAL.
pub const OUTPUT_TERMINAL: u8 = 0x03;
/// Audio control: MIXER_UNIT.
pub const MIXER_UNIT: u8 = 0x04;
/// Audio control: SELECTOR_UNIT.
pub const SELECTOR_UNIT: u8 = 0x05;
/// Audio control: FEATURE_UNIT.
pub const FEATURE_UNIT: u8 = 0x06;
/// Audio control: PROCESSING_UNIT.
pub const PROCESSING_UNIT: u8 = 0x07;
/// Audio control: EXTENSION_UNIT.
pub const EXTENSION_UNIT: u8 = 0x08;

/// Audio streaming: AS_GENERAL.
pub const GENERAL: u8 = 0x01;
/// Audio streaming: FORMAT_TYPE.
pub const FORMAT_TYPE: u8 = 0x02;
/// Endpoint: EP_GENERAL.
pub const ENDPOINT_GENERAL: u8 = 0x01;

/// `wTerminalType` of a terminal at the USB end.
pub const USB_STREAMING: u16 = 0x0101;

/// `bFormatType` I: samples.
pub const FORMAT_TYPE_I: u8 = 0x01;
/// `bFormatType` III: compressed frames dressed as samples.
pub const FORMAT_TYPE_III: u8 = 0x03;

/// SET_CUR.
pub const SET_CUR: u8 = 0x01;
/// GET_CUR.
pub const GET_CUR: u8 = 0x81;
/// GET_MIN.
pub const GET_MIN: u8 = 0x82;
/// GET_MAX.
pub const GET_MAX: u8 = 0x83;
/// GET_RES.
pub const GET_RES: u8 = 0x84;

/// Feature unit: MUTE_CONTROL.
pub const MUTE_CONTROL: u8 = 0x01;
/// Feature unit: VOLUME_CONTROL.
pub const VOLUME_CONTROL: u8 = 0x02;
/// Endpoint: SAMPLING_FREQ_CONTROL.
pub const SAMPLING_FREQ_CONTROL: u8 = 0x01;
