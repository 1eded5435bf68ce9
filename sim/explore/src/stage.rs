//! What all runs share: the image, and the sounds.

use crate::order::Ladder;
use judge::sound::Sound;
use std::path::Path;
use std::sync::OnceLock;
use system::image::Description;
use system::piece::piece;

/// Milliseconds of the longest sound.
const LONGEST: u32 = 500;

/// What all runs share.
#[derive(Copy, Clone, Debug)]
pub struct Stage {
    pub(crate) description: &'static Description,
    pub(crate) ladder: &'static Ladder,
}

impl Stage {
    /// The stage for the image that `app.toml` at `path` describes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn load(path: &Path) -> Result<Self, String> {
        let description = Description::load(path)?;
        let root = path.parent().unwrap_or(path);
        let ladder = Box::leak(Box::new(Ladder::load(root, description)?));
        Ok(Self { description, ladder })
    }

    /// The image.
    #[must_use]
    pub const fn description(&self) -> &'static Description {
        self.description
    }

    /// Whether the image's broker answers in the dialect that has a number for each
    /// cause.
    pub(crate) fn is_precise(&self) -> bool {
        self.description.app().dialect == app::Dialect::Precise
    }

    /// `ms` milliseconds of music.
    pub(crate) fn sound(ms: u32) -> Sound {
        static WHOLE: OnceLock<Sound> = OnceLock::new();
        let whole = WHOLE.get_or_init(|| piece(48_000, 48 * LONGEST));
        let bytes = (48 * ms.min(LONGEST)) as usize * whole.frame_bytes();
        Sound { pcm: whole.pcm[..bytes].to_vec(), ..*whole }
    }
}
