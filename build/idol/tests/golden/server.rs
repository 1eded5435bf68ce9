::idol_runtime::userlib::idolatry!(
    b"// Every form of the notation once, with its types in `tests/types.rs`.\n#![enable(implicit_some)]\nInterface(\n    name: \"Everything\",\n    ops: {\n        \"ping\": (\n            doc: \"Answers what it is given.\\nA second line.\",\n            args: { \"value\": \"u32\" },\n            reply: Simple(\"u32\"),\n            idempotent: true,\n        ),\n        \"sum\": (\n            args: {\n                \"small\": \"u8\",\n                \"wide\": \"u64\",\n                \"flag\": \"bool\",\n                \"color\": (type: \"Color\", recv: FromPrimitive(\"u8\")),\n                \"celsius\": (type: \"Celsius\", recv: From(\"i16\", None)),\n                \"even\": (type: \"Even\", recv: From(\"u32\", Some(\"Even::round_down\"))),\n                \"raw\": (type: \"[u8; 3]\", recv: FromBytes),\n            },\n            reply: Result(ok: (type: \"Color\", recv: FromPrimitive(\"u8\")), err: CLike(\"Trouble\")),\n        ),\n        \"is_even\": (\n            args: { \"value\": \"u32\" },\n            reply: Result(ok: \"bool\", err: ServerDeath),\n            idempotent: true,\n        ),\n        \"fail\": (\n            args: { \"code\": \"u32\" },\n            reply: Result(ok: \"()\", err: CLike(\"Trouble\")),\n            idempotent: true,\n        ),\n        \"copy\": (\n            doc: r#\"Copies \"from\" to \"to\", then adds one to each of \"both\".\"#,\n            leases: {\n                \"from\": (type: \"[u8]\", read: true, max_len: Some(64)),\n                \"to\": (type: \"[u8]\", write: true, max_len: 64),\n                \"both\": (type: \"[u32]\", read: true, write: true),\n            },\n            reply: Result(ok: \"u32\", err: CLike(\"Trouble\")),\n        ),\n        \"swap\": (\n            leases: {\n                \"old\": (type: \"Point\", write: true),\n                \"new\": (type: \"Point\", read: true),\n            },\n            reply: Result(ok: \"()\", err: CLike(\"Trouble\")),\n        ),\n        \"pack\": (\n            args: { \"shape\": \"Shape\", \"flag\": \"bool\", \"many\": \"[u16; 4]\" },\n            reply: Result(ok: \"Shape\", err: CLike(\"Trouble\")),\n            encoding: Hubpack,\n        ),\n        \"pack_hard\": (\n            args: { \"shape\": \"Shape\", \"color\": (type: \"Color\", recv: FromPrimitive(\"u8\")) },\n            reply: Result(ok: \"u64\", err: Complex(\"Detail\")),\n            encoding: Hubpack,\n        ),\n        \"hard\": (\n            args: { \"value\": \"u32\" },\n            reply: Result(ok: \"u64\", err: Complex(\"Detail\")),\n        ),\n        \"crash\": (\n            reply: Result(ok: \"()\", err: CLike(\"Trouble\")),\n        ),\n        \"ask_and_crash\": (\n            reply: Result(ok: \"()\", err: CLike(\"Trouble\")),\n            idempotent: true,\n        ),\n    },\n)\n"
);
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
/// Bytes of the largest request.
#[allow(dead_code, unreachable_pub)]
pub const INCOMING_SIZE: usize = ::idol_runtime::largest(
    &[
        ::core::mem::size_of::<Everything_ping_ARGS>(),
        ::core::mem::size_of::<Everything_sum_ARGS>(),
        ::core::mem::size_of::<Everything_is_even_ARGS>(),
        ::core::mem::size_of::<Everything_fail_ARGS>(),
        ::core::mem::size_of::<Everything_copy_ARGS>(),
        ::core::mem::size_of::<Everything_swap_ARGS>(),
        <Everything_pack_ARGS as ::idol_runtime::packed::Packed>::MAX_SIZE,
        <Everything_pack_hard_ARGS as ::idol_runtime::packed::Packed>::MAX_SIZE,
        ::core::mem::size_of::<Everything_hard_ARGS>(),
        ::core::mem::size_of::<Everything_crash_ARGS>(),
        ::core::mem::size_of::<Everything_ask_and_crash_ARGS>(),
    ],
);
/// Bytes of the largest reply.
#[allow(dead_code, unreachable_pub)]
pub const MAX_REPLY_SIZE: usize = ::idol_runtime::largest(
    &[
        ::core::mem::size_of::<Everything_ping_REPLY>(),
        ::core::mem::size_of::<Everything_sum_REPLY>(),
        ::core::mem::size_of::<Everything_is_even_REPLY>(),
        ::core::mem::size_of::<Everything_fail_REPLY>(),
        ::core::mem::size_of::<Everything_copy_REPLY>(),
        ::core::mem::size_of::<Everything_swap_REPLY>(),
        <Everything_pack_REPLY as ::idol_runtime::packed::Packed>::MAX_SIZE,
        ::idol_runtime::largest(
            &[
                <Everything_pack_hard_REPLY as ::idol_runtime::packed::Packed>::MAX_SIZE,
                <Detail as ::idol_runtime::packed::Packed>::MAX_SIZE,
            ],
        ),
        ::idol_runtime::largest(
            &[
                ::core::mem::size_of::<Everything_hard_REPLY>(),
                <Detail as ::idol_runtime::packed::Packed>::MAX_SIZE,
            ],
        ),
        ::core::mem::size_of::<Everything_crash_REPLY>(),
        ::core::mem::size_of::<Everything_ask_and_crash_REPLY>(),
    ],
);
///The operations of `Everything` and their numbers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, dead_code, unreachable_pub)]
#[repr(u16)]
pub enum EverythingOperation {
    ///Asks for `Everything.ping`.
    ping = 1,
    ///Asks for `Everything.sum`.
    sum = 2,
    ///Asks for `Everything.is_even`.
    is_even = 3,
    ///Asks for `Everything.fail`.
    fail = 4,
    ///Asks for `Everything.copy`.
    copy = 5,
    ///Asks for `Everything.swap`.
    swap = 6,
    ///Asks for `Everything.pack`.
    pack = 7,
    ///Asks for `Everything.pack_hard`.
    pack_hard = 8,
    ///Asks for `Everything.hard`.
    hard = 9,
    ///Asks for `Everything.crash`.
    crash = 10,
    ///Asks for `Everything.ask_and_crash`.
    ask_and_crash = 11,
}
impl ::core::convert::TryFrom<u32> for EverythingOperation {
    type Error = ();
    fn try_from(idol_number: u32) -> ::core::result::Result<Self, ()> {
        match idol_number {
            1 => Ok(Self::ping),
            2 => Ok(Self::sum),
            3 => Ok(Self::is_even),
            4 => Ok(Self::fail),
            5 => Ok(Self::copy),
            6 => Ok(Self::swap),
            7 => Ok(Self::pack),
            8 => Ok(Self::pack_hard),
            9 => Ok(Self::hard),
            10 => Ok(Self::crash),
            11 => Ok(Self::ask_and_crash),
            _ => Err(()),
        }
    }
}
///What an `Everything` server does.
#[allow(unreachable_pub, clippy::too_many_arguments)]
pub trait InOrderEverythingImpl: ::idol_runtime::NotificationHandler {
    /// The only task to take messages from now; `None` is all of them.
    fn recv_source(&self) -> ::core::option::Option<::idol_runtime::userlib::TaskId> {
        None
    }
    /// The task in [`recv_source`](Self::recv_source) is dead.
    fn closed_recv_fail(&mut self) {
        panic!("Everything: the task it takes messages from is dead");
    }
    /// Answers what it is given.
    /// A second line.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn ping(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        value: u32,
    ) -> ::core::result::Result<
        u32,
        ::idol_runtime::RequestError<::core::convert::Infallible>,
    >;
    /// Answers `Everything.sum`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn sum(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        small: u8,
        wide: u64,
        flag: bool,
        color: Color,
        celsius: Celsius,
        even: Even,
        raw: [u8; 3],
    ) -> ::core::result::Result<Color, ::idol_runtime::RequestError<Trouble>>;
    /// Answers `Everything.is_even`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn is_even(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        value: u32,
    ) -> ::core::result::Result<
        bool,
        ::idol_runtime::RequestError<::core::convert::Infallible>,
    >;
    /// Answers `Everything.fail`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn fail(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        code: u32,
    ) -> ::core::result::Result<(), ::idol_runtime::RequestError<Trouble>>;
    /// Copies "from" to "to", then adds one to each of "both".
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn copy(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        from: ::idol_runtime::LenLimit<
            ::idol_runtime::Leased<::idol_runtime::R, [u8]>,
            64usize,
        >,
        to: ::idol_runtime::LenLimit<
            ::idol_runtime::Leased<::idol_runtime::W, [u8]>,
            64usize,
        >,
        both: ::idol_runtime::Leased<::idol_runtime::RW, [u32]>,
    ) -> ::core::result::Result<u32, ::idol_runtime::RequestError<Trouble>>;
    /// Answers `Everything.swap`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn swap(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        old: ::idol_runtime::Leased<::idol_runtime::W, Point>,
        new: ::idol_runtime::Leased<::idol_runtime::R, Point>,
    ) -> ::core::result::Result<(), ::idol_runtime::RequestError<Trouble>>;
    /// Answers `Everything.pack`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn pack(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        shape: Shape,
        flag: bool,
        many: [u16; 4],
    ) -> ::core::result::Result<Shape, ::idol_runtime::RequestError<Trouble>>;
    /// Answers `Everything.pack_hard`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn pack_hard(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        shape: Shape,
        color: Color,
    ) -> ::core::result::Result<u64, ::idol_runtime::RequestError<Detail>>;
    /// Answers `Everything.hard`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn hard(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        value: u32,
    ) -> ::core::result::Result<u64, ::idol_runtime::RequestError<Detail>>;
    /// Answers `Everything.crash`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn crash(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
    ) -> ::core::result::Result<(), ::idol_runtime::RequestError<Trouble>>;
    /// Answers `Everything.ask_and_crash`.
    ///
    /// # Errors
    /// What the interface has an error for, or the client's fault.
    fn ask_and_crash(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
    ) -> ::core::result::Result<(), ::idol_runtime::RequestError<Trouble>>;
}
impl<S: InOrderEverythingImpl> ::idol_runtime::Server<EverythingOperation>
for (::core::marker::PhantomData<EverythingOperation>, &mut S) {
    type Reply = [u8; MAX_REPLY_SIZE];
    const INCOMING_SIZE: usize = INCOMING_SIZE;
    const NO_REPLY: Self::Reply = [0; MAX_REPLY_SIZE];
    #[inline]
    fn recv_source(&self) -> ::core::option::Option<::idol_runtime::userlib::TaskId> {
        InOrderEverythingImpl::recv_source(&*self.1)
    }
    fn closed_recv_fail(&mut self) {
        InOrderEverythingImpl::closed_recv_fail(self.1);
    }
    #[inline]
    fn current_notification_mask(&self) -> u32 {
        ::idol_runtime::NotificationHandler::current_notification_mask(&*self.1)
    }
    #[inline]
    fn handle_notification(&mut self, idol_bits: u32) {
        ::idol_runtime::NotificationHandler::handle_notification(self.1, idol_bits);
    }
    #[inline]
    fn refused(&mut self, idol_code: u32) {
        ::idol_runtime::NotificationHandler::refused(self.1, idol_code);
    }
    #[inline]
    fn handle(
        &mut self,
        idol_message: &::idol_runtime::userlib::RecvMessage,
        idol_request: &[u8],
        idol_reply: &mut [u8],
    ) -> ::core::result::Result<(u32, usize), ::idol_runtime::ClientError> {
        let Ok(idol_operation) = EverythingOperation::try_from(idol_message.operation)
        else {
            return Err(::idol_runtime::ClientError::UnknownOperation);
        };
        match idol_operation {
            EverythingOperation::ping => {
                let Everything_ping_ARGS { value } = ::idol_runtime::server::read_args::<
                    Everything_ping_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_ping_REPLY>(),
                    0usize,
                )?;
                match self.1.ping(idol_message, value) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_ping_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        match idol_error {}
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::sum => {
                let Everything_sum_ARGS {
                    small,
                    wide,
                    flag,
                    color,
                    celsius,
                    even,
                    raw,
                } = ::idol_runtime::server::read_args::<
                    Everything_sum_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_sum_REPLY>(),
                    0usize,
                )?;
                let flag = ::idol_runtime::bool_from_byte(flag)
                    .ok_or(::idol_runtime::ClientError::BadMessageContents)?;
                let color = <Color as ::idol_runtime::FromPrimitive>::from_u8(color)
                    .ok_or(::idol_runtime::ClientError::BadMessageContents)?;
                let celsius = <Celsius as ::core::convert::From<i16>>::from(celsius);
                let even = Even::round_down(even);
                match self
                    .1
                    .sum(idol_message, small, wide, flag, color, celsius, even, raw)
                {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_sum_REPLY {
                                    value: idol_value as u8,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::is_even => {
                let Everything_is_even_ARGS { value } = ::idol_runtime::server::read_args::<
                    Everything_is_even_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_is_even_REPLY>(),
                    0usize,
                )?;
                match self.1.is_even(idol_message, value) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_is_even_REPLY {
                                    value: u8::from(idol_value),
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        match idol_error {}
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::fail => {
                let Everything_fail_ARGS { code } = ::idol_runtime::server::read_args::<
                    Everything_fail_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_fail_REPLY>(),
                    0usize,
                )?;
                match self.1.fail(idol_message, code) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_fail_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::copy => {
                let Everything_copy_ARGS {} = ::idol_runtime::server::read_args::<
                    Everything_copy_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_copy_REPLY>(),
                    3usize,
                )?;
                let from = <::idol_runtime::LenLimit<
                    ::idol_runtime::Leased<::idol_runtime::R, [u8]>,
                    64usize,
                >>::validate(idol_message, 0usize)?;
                let to = <::idol_runtime::LenLimit<
                    ::idol_runtime::Leased<::idol_runtime::W, [u8]>,
                    64usize,
                >>::validate(idol_message, 1usize)?;
                let both = <::idol_runtime::Leased<
                    ::idol_runtime::RW,
                    [u32],
                >>::validate(idol_message, 2usize)?;
                match self.1.copy(idol_message, from, to, both) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_copy_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::swap => {
                let Everything_swap_ARGS {} = ::idol_runtime::server::read_args::<
                    Everything_swap_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_swap_REPLY>(),
                    2usize,
                )?;
                let old = <::idol_runtime::Leased<
                    ::idol_runtime::W,
                    Point,
                >>::validate(idol_message, 0usize)?;
                let new = <::idol_runtime::Leased<
                    ::idol_runtime::R,
                    Point,
                >>::validate(idol_message, 1usize)?;
                match self.1.swap(idol_message, old, new) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_swap_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::pack => {
                let Everything_pack_ARGS { shape, flag, many } = ::idol_runtime::server::unpack_args::<
                    Everything_pack_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    <Everything_pack_REPLY as ::idol_runtime::packed::Packed>::MAX_SIZE,
                    0usize,
                )?;
                match self.1.pack(idol_message, shape, flag, many) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::pack_reply(
                                &Everything_pack_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::pack_hard => {
                let Everything_pack_hard_ARGS { shape, color } = ::idol_runtime::server::unpack_args::<
                    Everything_pack_hard_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::idol_runtime::largest(
                        &[
                            <Everything_pack_hard_REPLY as ::idol_runtime::packed::Packed>::MAX_SIZE,
                            <Detail as ::idol_runtime::packed::Packed>::MAX_SIZE,
                        ],
                    ),
                    0usize,
                )?;
                let color = <Color as ::idol_runtime::FromPrimitive>::from_u8(color)
                    .ok_or(::idol_runtime::ClientError::BadMessageContents)?;
                match self.1.pack_hard(idol_message, shape, color) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::pack_reply(
                                &Everything_pack_hard_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((
                            1,
                            ::idol_runtime::server::pack_reply(&idol_error, idol_reply),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::hard => {
                let Everything_hard_ARGS { value } = ::idol_runtime::server::read_args::<
                    Everything_hard_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::idol_runtime::largest(
                        &[
                            ::core::mem::size_of::<Everything_hard_REPLY>(),
                            <Detail as ::idol_runtime::packed::Packed>::MAX_SIZE,
                        ],
                    ),
                    0usize,
                )?;
                match self.1.hard(idol_message, value) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_hard_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((
                            1,
                            ::idol_runtime::server::pack_reply(&idol_error, idol_reply),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::crash => {
                let Everything_crash_ARGS {} = ::idol_runtime::server::read_args::<
                    Everything_crash_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_crash_REPLY>(),
                    0usize,
                )?;
                match self.1.crash(idol_message) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_crash_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
            EverythingOperation::ask_and_crash => {
                let Everything_ask_and_crash_ARGS {} = ::idol_runtime::server::read_args::<
                    Everything_ask_and_crash_ARGS,
                >(idol_request)?;
                ::idol_runtime::server::check_frame(
                    idol_message,
                    ::core::mem::size_of::<Everything_ask_and_crash_REPLY>(),
                    0usize,
                )?;
                match self.1.ask_and_crash(idol_message) {
                    Ok(idol_value) => {
                        Ok((
                            0,
                            ::idol_runtime::server::write_reply(
                                &Everything_ask_and_crash_REPLY {
                                    value: idol_value,
                                },
                                idol_reply,
                            ),
                        ))
                    }
                    Err(::idol_runtime::RequestError::Runtime(idol_error)) => {
                        Ok((::idol_runtime::server::code(idol_error), 0))
                    }
                    Err(::idol_runtime::RequestError::Fail(idol_error)) => {
                        Err(idol_error)
                    }
                }
            }
        }
    }
}
