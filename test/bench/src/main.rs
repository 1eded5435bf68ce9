//! A task of the image that measures: the one that its feature says, or one
//! that waits for ever.

#![no_std]
#![no_main]

#[cfg(feature = "supervisor")]
userlib::task!(bench::supervisor::run(mmio::registers!(image::registers::UART0)));

#[cfg(feature = "server")]
userlib::task!(bench::server::run(&bench::server::Config {
    interrupt: image::notifications::INTERRUPT,
    // The one hint that app.toml lets it give.
    client: userlib::TaskId::new(image::NOTIFIES[0].0, userlib::Generation(0)),
    hint: image::NOTIFIES[0].1,
}));

#[cfg(feature = "typed")]
userlib::task!(bench::typed::run());

#[cfg(feature = "client")]
userlib::task!(bench::client::run(bench::client::Config {
    uart: mmio::registers!(image::registers::UART0),
    bells: mmio::registers!(image::registers::GICV2M),
    bell: image::config::BELL as u32,
    hint: image::notifications::SERVER,
}));

#[cfg(feature = "poker")]
userlib::task!(bench::poker::run());

#[cfg(not(any(
    feature = "supervisor",
    feature = "server",
    feature = "typed",
    feature = "client",
    feature = "poker"
)))]
userlib::task!(loop {
    userlib::sys_recv_notification(0);
});
