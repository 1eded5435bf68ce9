//! The DSP program: QMI client, isochronous scheduler, PCM source.
