//! What all runs share: the images, and the sounds.

use crate::order::Ladder;
use crate::scenario::Scenario;
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
    images: &'static [(&'static str, Image)],
}

/// An image, and how its messages are read.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Image {
    pub(crate) description: &'static Description,
    pub(crate) ladder: &'static Ladder,
}

impl Image {
    fn load(root: &Path, file: &str) -> Result<Self, String> {
        let description = Description::load(&root.join(file))?;
        let ladder = Box::leak(Box::new(Ladder::load(root, description)?));
        Ok(Self { description, ladder })
    }

    /// Whether the image's broker answers in the dialect that has a number for each
    /// cause.
    pub(crate) fn is_precise(self) -> bool {
        self.description.app().dialect == app::Dialect::Precise
    }

    /// The name of a task of that number; the auditor stands above all others.
    pub(crate) fn task(self, n: u16) -> &'static str {
        let tasks = &self.description.app().tasks;
        tasks.get(usize::from(n)).map_or(system::auditor::NAME, |task| &task.name)
    }
}

impl Stage {
    /// The stage for the images that are described in the folder `root`.
    ///
    /// # Errors
    /// What is wrong with one of them, in words.
    pub fn load(root: &Path) -> Result<Self, String> {
        let mut images: Vec<(&str, Image)> = Vec::new();
        for file in Scenario::ALL.map(Scenario::file) {
            if images.iter().all(|&(known, _)| known != file) {
                images.push((file, Image::load(root, file)?));
            }
        }
        Ok(Self { images: images.leak() })
    }

    /// The image that a scenario is played on.
    pub(crate) fn image(&self, scenario: Scenario) -> Image {
        let found = self.images.iter().find(|&&(file, _)| file == scenario.file());
        found.expect("every scenario's image was loaded").1
    }

    /// The description of that image.
    #[must_use]
    pub fn description(&self, scenario: Scenario) -> &'static Description {
        self.image(scenario).description
    }

    /// `ms` milliseconds of music.
    pub(crate) fn sound(ms: u32) -> Sound {
        static WHOLE: OnceLock<Sound> = OnceLock::new();
        let whole = WHOLE.get_or_init(|| piece(48_000, 48 * LONGEST));
        let bytes = (48 * ms.min(LONGEST)) as usize * whole.frame_bytes();
        Sound { pcm: whole.pcm[..bytes].to_vec(), ..*whole }
    }
}
