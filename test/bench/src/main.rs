//! A task of the image that measures: the one that its `role` says.

#![no_std]
#![no_main]

userlib::task!(bench::run(bench::Config { role: image::config::ROLE }));
