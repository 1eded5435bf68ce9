#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_ping_ARGS {
    value: u32,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_ping_REPLY {
    value: u32,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_sum_ARGS {
    small: u8,
    wide: u64,
    flag: u8,
    color: u8,
    celsius: i16,
    even: u32,
    raw: [u8; 3],
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_sum_REPLY {
    value: u8,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_is_even_ARGS {
    value: u32,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_is_even_REPLY {
    value: u8,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_fail_ARGS {
    code: u32,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_fail_REPLY {
    value: (),
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_copy_ARGS {}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_copy_REPLY {
    value: u32,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_swap_ARGS {}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_swap_REPLY {
    value: (),
}
#[allow(non_camel_case_types)]
#[derive(::idol_runtime::packed::Packed)]
#[packed(crate = "::idol_runtime::packed")]
struct Everything_pack_ARGS {
    shape: Shape,
    flag: bool,
    many: [u16; 4],
}
#[allow(non_camel_case_types)]
#[derive(::idol_runtime::packed::Packed)]
#[packed(crate = "::idol_runtime::packed")]
struct Everything_pack_REPLY {
    value: Shape,
}
#[allow(non_camel_case_types)]
#[derive(::idol_runtime::packed::Packed)]
#[packed(crate = "::idol_runtime::packed")]
struct Everything_pack_hard_ARGS {
    shape: Shape,
    color: u8,
}
#[allow(non_camel_case_types)]
#[derive(::idol_runtime::packed::Packed)]
#[packed(crate = "::idol_runtime::packed")]
struct Everything_pack_hard_REPLY {
    value: u64,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_hard_ARGS {
    value: u32,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_hard_REPLY {
    value: u64,
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_crash_ARGS {}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_crash_REPLY {
    value: (),
}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_ask_and_crash_ARGS {}
#[allow(non_camel_case_types)]
#[derive(
    ::idol_runtime::zerocopy::FromBytes,
    ::idol_runtime::zerocopy::Immutable,
    ::idol_runtime::zerocopy::IntoBytes,
)]
#[zerocopy(crate = "idol_runtime::zerocopy")]
#[repr(C, packed)]
struct Everything_ask_and_crash_REPLY {
    value: (),
}
///Client of an `Everything` server.
#[derive(Clone, Debug)]
#[allow(unreachable_pub)]
pub struct Everything {
    idol_server: ::core::cell::Cell<::idol_runtime::userlib::TaskId>,
}
impl ::core::convert::From<::idol_runtime::userlib::TaskId> for Everything {
    fn from(server: ::idol_runtime::userlib::TaskId) -> Self {
        Self {
            idol_server: ::core::cell::Cell::new(server),
        }
    }
}
#[allow(dead_code, unreachable_pub, clippy::too_many_arguments, clippy::unit_arg)]
impl Everything {
    /// The server's incarnation that the next request goes to.
    #[must_use]
    pub fn task_id(&self) -> ::idol_runtime::userlib::TaskId {
        self.idol_server.get()
    }
    /// Brings the client up to the server's current incarnation.
    pub fn refresh_task_id(&self) {
        ::idol_runtime::client::refresh(&self.idol_server);
    }
    /// Answers what it is given.
    /// A second line.
    ///
    /// # Panics
    /// When the server dies over it four times in a row.
    pub fn ping(&self, value: u32) -> u32 {
        let idol_args = Everything_ping_ARGS { value };
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_ping_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            1u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::IDEMPOTENT,
        ) {
            Ok((0, idol_len)) => {
                let Everything_ping_REPLY { value: idol_value } = match <Everything_ping_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                    &idol_reply[..idol_len],
                ) {
                    Ok(idol_reply) => idol_reply,
                    Err(_) => ::idol_runtime::client::bad_reply("Everything.ping"),
                };
                idol_value
            }
            Ok(_) => ::idol_runtime::client::bad_reply("Everything.ping"),
            Err(_) => ::idol_runtime::client::server_keeps_dying("Everything.ping"),
        }
    }
    /// Asks for `Everything.sum`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn sum(
        &self,
        small: u8,
        wide: u64,
        flag: bool,
        color: Color,
        celsius: Celsius,
        even: Even,
        raw: [u8; 3],
    ) -> ::core::result::Result<Color, Trouble> {
        let idol_args = Everything_sum_ARGS {
            small,
            wide,
            flag: u8::from(flag),
            color: color as u8,
            celsius: <i16 as ::core::convert::From<_>>::from(celsius),
            even: <u32 as ::core::convert::From<_>>::from(even),
            raw,
        };
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_sum_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            2u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok(
                    match <Color as ::idol_runtime::FromPrimitive>::from_u8({
                        let Everything_sum_REPLY { value: idol_value } = match <Everything_sum_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                            &idol_reply[..idol_len],
                        ) {
                            Ok(idol_reply) => idol_reply,
                            Err(_) => ::idol_runtime::client::bad_reply("Everything.sum"),
                        };
                        idol_value
                    }) {
                        Some(idol_value) => idol_value,
                        None => ::idol_runtime::client::bad_reply("Everything.sum"),
                    },
                )
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<Trouble>(idol_code, "Everything.sum"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.is_even`.
    ///
    /// # Errors
    /// When the server dies over it four times in a row.
    pub fn is_even(
        &self,
        value: u32,
    ) -> ::core::result::Result<bool, ::idol_runtime::ServerDeath> {
        let idol_args = Everything_is_even_ARGS { value };
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_is_even_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            3u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::IDEMPOTENT,
        ) {
            Ok((0, idol_len)) => {
                Ok(
                    match ::idol_runtime::bool_from_byte({
                        let Everything_is_even_REPLY { value: idol_value } = match <Everything_is_even_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                            &idol_reply[..idol_len],
                        ) {
                            Ok(idol_reply) => idol_reply,
                            Err(_) => {
                                ::idol_runtime::client::bad_reply("Everything.is_even")
                            }
                        };
                        idol_value
                    }) {
                        Some(idol_value) => idol_value,
                        None => ::idol_runtime::client::bad_reply("Everything.is_even"),
                    },
                )
            }
            Ok(_) => ::idol_runtime::client::bad_reply("Everything.is_even"),
            Err(idol_death) => Err(idol_death),
        }
    }
    /// Asks for `Everything.fail`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it four times in a row.
    pub fn fail(&self, code: u32) -> ::core::result::Result<(), Trouble> {
        let idol_args = Everything_fail_ARGS { code };
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_fail_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            4u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::IDEMPOTENT,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_fail_REPLY { value: idol_value } = match <Everything_fail_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                        &idol_reply[..idol_len],
                    ) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => ::idol_runtime::client::bad_reply("Everything.fail"),
                    };
                    idol_value
                })
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<
                        Trouble,
                    >(idol_code, "Everything.fail"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Copies "from" to "to", then adds one to each of "both".
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn copy(
        &self,
        from: &[u8],
        to: &mut [u8],
        both: &mut [u32],
    ) -> ::core::result::Result<u32, Trouble> {
        if from.len() > 64usize {
            ::idol_runtime::client::lease_too_long("Everything.copy", "from", 64usize);
        }
        if to.len() > 64usize {
            ::idol_runtime::client::lease_too_long("Everything.copy", "to", 64usize);
        }
        let idol_args = Everything_copy_ARGS {};
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_copy_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            5u16,
            idol_request,
            &mut idol_reply,
            &[
                ::idol_runtime::userlib::Lease::read_only(
                    ::idol_runtime::zerocopy::IntoBytes::as_bytes(from),
                ),
                ::idol_runtime::userlib::Lease::write_only(
                    ::idol_runtime::zerocopy::IntoBytes::as_mut_bytes(to),
                ),
                ::idol_runtime::userlib::Lease::read_write(
                    ::idol_runtime::zerocopy::IntoBytes::as_mut_bytes(both),
                ),
            ],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_copy_REPLY { value: idol_value } = match <Everything_copy_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                        &idol_reply[..idol_len],
                    ) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => ::idol_runtime::client::bad_reply("Everything.copy"),
                    };
                    idol_value
                })
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<
                        Trouble,
                    >(idol_code, "Everything.copy"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.swap`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn swap(
        &self,
        old: &mut Point,
        new: &Point,
    ) -> ::core::result::Result<(), Trouble> {
        let idol_args = Everything_swap_ARGS {};
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_swap_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            6u16,
            idol_request,
            &mut idol_reply,
            &[
                ::idol_runtime::userlib::Lease::write_only(
                    ::idol_runtime::zerocopy::IntoBytes::as_mut_bytes(old),
                ),
                ::idol_runtime::userlib::Lease::read_only(
                    ::idol_runtime::zerocopy::IntoBytes::as_bytes(new),
                ),
            ],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_swap_REPLY { value: idol_value } = match <Everything_swap_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                        &idol_reply[..idol_len],
                    ) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => ::idol_runtime::client::bad_reply("Everything.swap"),
                    };
                    idol_value
                })
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<
                        Trouble,
                    >(idol_code, "Everything.swap"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.pack`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn pack(
        &self,
        shape: Shape,
        flag: bool,
        many: [u16; 4],
    ) -> ::core::result::Result<Shape, Trouble> {
        let idol_args = Everything_pack_ARGS {
            shape,
            flag,
            many,
        };
        let mut idol_packed = [0; <Everything_pack_ARGS as ::idol_runtime::packed::Packed>::MAX_SIZE];
        let idol_len = ::idol_runtime::packed::pack(&idol_args, &mut idol_packed);
        let idol_request = &idol_packed[..idol_len];
        let mut idol_reply = [0; <Everything_pack_REPLY as ::idol_runtime::packed::Packed>::MAX_SIZE];
        match ::idol_runtime::client::call(
            &self.idol_server,
            7u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_pack_REPLY { value: idol_value } = match ::idol_runtime::packed::unpack::<
                        Everything_pack_REPLY,
                    >(&idol_reply[..idol_len]) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => ::idol_runtime::client::bad_reply("Everything.pack"),
                    };
                    idol_value
                })
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<
                        Trouble,
                    >(idol_code, "Everything.pack"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.pack_hard`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn pack_hard(
        &self,
        shape: Shape,
        color: Color,
    ) -> ::core::result::Result<u64, Detail> {
        let idol_args = Everything_pack_hard_ARGS {
            shape,
            color: color as u8,
        };
        let mut idol_packed = [0; <Everything_pack_hard_ARGS as ::idol_runtime::packed::Packed>::MAX_SIZE];
        let idol_len = ::idol_runtime::packed::pack(&idol_args, &mut idol_packed);
        let idol_request = &idol_packed[..idol_len];
        let mut idol_reply = [0; ::idol_runtime::largest(
            &[
                <Everything_pack_hard_REPLY as ::idol_runtime::packed::Packed>::MAX_SIZE,
                <Detail as ::idol_runtime::packed::Packed>::MAX_SIZE,
            ],
        )];
        match ::idol_runtime::client::call(
            &self.idol_server,
            8u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_pack_hard_REPLY { value: idol_value } = match ::idol_runtime::packed::unpack::<
                        Everything_pack_hard_REPLY,
                    >(&idol_reply[..idol_len]) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => {
                            ::idol_runtime::client::bad_reply("Everything.pack_hard")
                        }
                    };
                    idol_value
                })
            }
            Ok((1, idol_len)) => {
                match ::idol_runtime::packed::unpack::<Detail>(&idol_reply[..idol_len]) {
                    Ok(idol_error) => Err(idol_error),
                    Err(_) => ::idol_runtime::client::bad_reply("Everything.pack_hard"),
                }
            }
            Ok(_) => ::idol_runtime::client::bad_reply("Everything.pack_hard"),
            Err(_) => Err(<Detail as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.hard`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn hard(&self, value: u32) -> ::core::result::Result<u64, Detail> {
        let idol_args = Everything_hard_ARGS { value };
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::idol_runtime::largest(
            &[
                ::core::mem::size_of::<Everything_hard_REPLY>(),
                <Detail as ::idol_runtime::packed::Packed>::MAX_SIZE,
            ],
        )];
        match ::idol_runtime::client::call(
            &self.idol_server,
            9u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_hard_REPLY { value: idol_value } = match <Everything_hard_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                        &idol_reply[..idol_len],
                    ) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => ::idol_runtime::client::bad_reply("Everything.hard"),
                    };
                    idol_value
                })
            }
            Ok((1, idol_len)) => {
                match ::idol_runtime::packed::unpack::<Detail>(&idol_reply[..idol_len]) {
                    Ok(idol_error) => Err(idol_error),
                    Err(_) => ::idol_runtime::client::bad_reply("Everything.hard"),
                }
            }
            Ok(_) => ::idol_runtime::client::bad_reply("Everything.hard"),
            Err(_) => Err(<Detail as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.crash`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it.
    pub fn crash(&self) -> ::core::result::Result<(), Trouble> {
        let idol_args = Everything_crash_ARGS {};
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<Everything_crash_REPLY>()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            10u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::ONCE,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_crash_REPLY { value: idol_value } = match <Everything_crash_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                        &idol_reply[..idol_len],
                    ) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => ::idol_runtime::client::bad_reply("Everything.crash"),
                    };
                    idol_value
                })
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<
                        Trouble,
                    >(idol_code, "Everything.crash"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
    /// Asks for `Everything.ask_and_crash`.
    ///
    /// # Errors
    /// What the server answers, or that it died over it four times in a row.
    pub fn ask_and_crash(&self) -> ::core::result::Result<(), Trouble> {
        let idol_args = Everything_ask_and_crash_ARGS {};
        let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        let mut idol_reply = [0; ::core::mem::size_of::<
            Everything_ask_and_crash_REPLY,
        >()];
        match ::idol_runtime::client::call(
            &self.idol_server,
            11u16,
            idol_request,
            &mut idol_reply,
            &[],
            ::idol_runtime::client::Attempts::IDEMPOTENT,
        ) {
            Ok((0, idol_len)) => {
                Ok({
                    let Everything_ask_and_crash_REPLY { value: idol_value } = match <Everything_ask_and_crash_REPLY as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
                        &idol_reply[..idol_len],
                    ) {
                        Ok(idol_reply) => idol_reply,
                        Err(_) => {
                            ::idol_runtime::client::bad_reply("Everything.ask_and_crash")
                        }
                    };
                    idol_value
                })
            }
            Ok((idol_code, _)) => {
                Err(
                    ::idol_runtime::client::error::<
                        Trouble,
                    >(idol_code, "Everything.ask_and_crash"),
                )
            }
            Err(_) => Err(<Trouble as ::idol_runtime::IdolError>::SERVER_DEATH),
        }
    }
}
