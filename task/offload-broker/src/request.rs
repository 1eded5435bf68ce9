//! What a STREAM request asks for, checked in the order of the Linux service.
//!
//! B-numbers are those of `docs/deviations.md`. Disable passes the same checks
//! as enable, the optional fields included (B2): a peer has always had to send
//! them.

use iova::{buffer_bytes, service_interval};
use qmi::{StreamRequest, Token};
use usb_audio_api::{MAX_CARDS, SampleFormat, StreamFormat, StreamId};
use usb_core_api::DeviceInfo;
use usb_types::Direction;

use crate::cards::Cards;
use crate::refusal::Refusal;

/// A request that makes sense.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The stream.
    pub stream: StreamId,
    /// What it shall carry.
    pub format: StreamFormat,
    /// The length its transfer buffer gets, whole pages (I16).
    pub buffer_bytes: u32,
    /// The card's device.
    pub device: DeviceInfo,
    /// The device's handle.
    pub handle: usb_core_api::DeviceHandle,
}

/// Checks a request against the cards that are there (B2, B4 to B6, B9).
///
/// # Errors
/// The first check that fails, in the order of the Linux service.
pub fn check(request: &StreamRequest, cards: &Cards) -> Result<Wanted, Refusal> {
    let (Some(format), Some(rate), Some(channels), Some(buffer)) =
        (request.audio_format, request.bit_rate, request.number_of_ch, request.xfer_buff_size)
    else {
        return Err(Refusal::MissingField);
    };
    let token = request.usb_token;
    // All sixteen bits: 0x100 is not card 0 (D-1).
    if token.card() >= u16::from(MAX_CARDS) {
        return Err(Refusal::BadCard);
    }
    let sample = sample_format(format).ok_or(Refusal::BadFormat)?;
    let card = cards.get(token.card()).ok_or(Refusal::NoDevice)?;
    if !card.present {
        return Err(Refusal::ShuttingDown);
    }
    let direction = match token.direction() {
        0 => Direction::Out,
        1 => Direction::In,
        _ => return Err(Refusal::BadDirection),
    };
    if token.pcm() >= card.streams(direction) {
        return Err(Refusal::NoStream);
    }
    if let Some(interval) = request.service_interval {
        service_interval(card.device.speed, interval).map_err(|_| Refusal::BadInterval)?;
    }
    Ok(Wanted {
        stream: stream_id(token, direction),
        format: StreamFormat {
            sample,
            channels: channels.try_into().map_err(|_| Refusal::FormatUnsupported)?,
            rate,
            // Unlike upstream the interval takes part in the choice (B10, D-8).
            interval_us: request.service_interval,
        },
        buffer_bytes: buffer_bytes(buffer),
        device: card.device,
        handle: card.info.device,
    })
}

fn stream_id(token: Token, direction: Direction) -> StreamId {
    // Below MAX_CARDS.
    StreamId { card: token.card() as u8, pcm: token.pcm(), direction }
}

/// The format that a code of the service names; `None` above 17 (B5).
#[must_use]
pub const fn sample_format(code: u32) -> Option<SampleFormat> {
    Some(match code {
        0 => SampleFormat::S8,
        1 => SampleFormat::U8,
        2 => SampleFormat::S16Le,
        3 => SampleFormat::S16Be,
        4 => SampleFormat::U16Le,
        5 => SampleFormat::U16Be,
        6 => SampleFormat::S24Le,
        7 => SampleFormat::S24Be,
        8 => SampleFormat::U24Le,
        9 => SampleFormat::U24Be,
        10 => SampleFormat::S24In3Le,
        11 => SampleFormat::S24In3Be,
        12 => SampleFormat::U24In3Le,
        13 => SampleFormat::U24In3Be,
        14 => SampleFormat::S32Le,
        15 => SampleFormat::S32Be,
        16 => SampleFormat::U32Le,
        17 => SampleFormat::U32Be,
        _ => return None,
    })
}
