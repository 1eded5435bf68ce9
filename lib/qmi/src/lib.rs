//! QMI messages of the USB audio service, and QRTR frames.
