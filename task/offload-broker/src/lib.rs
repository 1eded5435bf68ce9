//! The offload broker: sessions, votes, the QMI service.
