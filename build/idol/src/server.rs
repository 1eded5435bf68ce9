//! Generates the server side of an interface.
//!
//! A trait with one method per operation, the dispatcher that decodes messages
//! for it, and the sizes of its buffers.

use std::error::Error;
use std::path::Path;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use crate::check::{check, idolatry};
use crate::client::write_stub;
use crate::codegen::{FromWire, Op, check_generatable, ident, lent, path, render, ty};
use crate::diagnostic::Failure;
use crate::model::{ErrorType, Interface, Lease, Reply};

/// How a server answers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerStyle {
    /// Each message before the next is taken. What takes longer is a ticket.
    InOrder,
}

/// For a build script: generates the server side of the interface in `source`
/// into the file `stub` of `OUT_DIR`.
///
/// # Errors
/// When the interface is not in order, or the file cannot be written.
pub fn build_server_support(
    source: impl AsRef<Path>,
    stub: &str,
    style: ServerStyle,
) -> Result<(), Box<dyn Error>> {
    write_stub(source.as_ref(), stub, &generate_server_support(source.as_ref(), style)?)
}

/// The server side of the interface in `source`, as Rust source text.
///
/// # Errors
/// When the interface is not in order.
pub fn generate_server_support(
    source: impl AsRef<Path>,
    style: ServerStyle,
) -> Result<String, Box<dyn Error>> {
    let interface = check(&source).map_err(Failure)?;
    check_generatable(source.as_ref(), &interface)?;
    let text = idolatry(&source)?;
    Ok(render(match style {
        ServerStyle::InOrder => generate(&interface, &text),
    })?)
}

/// `text` is the interface's, for debuggers.
fn generate(interface: &Interface, text: &str) -> TokenStream {
    let text = Literal::byte_string(text.as_bytes());
    let name = &interface.name.text;
    let ops = Op::all(interface);
    let travelling = ops.iter().map(Op::travelling);
    let operation = operation_enum(name, &ops);
    let server_trait = server_trait(name, &ops);
    let dispatcher = dispatcher(name, &ops);
    let incoming = ops.iter().map(Op::args_size);
    let replies = ops.iter().map(Op::reply_size);
    quote! {
        ::idol_runtime::userlib::idolatry!(#text);

        #(#travelling)*

        /// Bytes of the largest request.
        #[allow(dead_code, unreachable_pub)]
        pub const INCOMING_SIZE: usize = ::idol_runtime::largest(&[#(#incoming),*]);

        /// Bytes of the largest reply.
        #[allow(dead_code, unreachable_pub)]
        pub const MAX_REPLY_SIZE: usize = ::idol_runtime::largest(&[#(#replies),*]);

        #operation
        #server_trait
        #dispatcher
    }
}

fn operation_enum(interface: &str, ops: &[Op<'_>]) -> TokenStream {
    let name = format_ident!("{interface}Operation");
    let doc = format!("The operations of `{interface}` and their numbers.");
    let names: Vec<_> = ops.iter().map(|op| &op.name).collect();
    let docs = ops.iter().map(|op| format!("Asks for `{}`.", op.title));
    let numbers: Vec<_> = ops.iter().map(|op| Literal::u16_unsuffixed(op.number())).collect();
    quote! {
        #[doc = #doc]
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, dead_code, unreachable_pub)]
        #[repr(u16)]
        pub enum #name {
            #(#[doc = #docs] #names = #numbers,)*
        }

        impl ::core::convert::TryFrom<u32> for #name {
            type Error = ();

            fn try_from(idol_number: u32) -> ::core::result::Result<Self, ()> {
                match idol_number {
                    #(#numbers => Ok(Self::#names),)*
                    _ => Err(()),
                }
            }
        }
    }
}

fn server_trait(interface: &str, ops: &[Op<'_>]) -> TokenStream {
    let name = format_ident!("InOrder{interface}Impl");
    let doc = format!("What an `{interface}` server does.");
    let dead = format!("{interface}: the task it takes messages from is dead");
    let methods = ops.iter().map(|op| {
        let name = &op.name;
        let docs = match &op.docs()[..] {
            [] => vec![format!(" Answers `{}`.", op.title)],
            lines => lines.iter().map(|line| format!(" {line}")).collect(),
        };
        let args = op.model.args.iter().map(|arg| {
            let (name, ty) = (ident(&arg.name.text), ty(&arg.value.text));
            quote!(#name: #ty)
        });
        let leases = op.model.leases.iter().map(|lease| {
            let (name, ty) = (ident(&lease.name.text), leased(lease));
            quote!(#name: #ty)
        });
        let value = ty(&op.model.reply.value().text);
        let error = match &op.model.reply {
            Reply::Simple(_) | Reply::Result { err: ErrorType::ServerDeath, .. } => {
                quote!(::core::convert::Infallible)
            }
            Reply::Result { err: ErrorType::CLike(e) | ErrorType::Complex(e), .. } => {
                let error = path(&e.text);
                quote!(#error)
            }
        };
        quote! {
            #(#[doc = #docs])*
            ///
            /// # Errors
            /// What the interface has an error for, or the client's fault.
            fn #name(
                &mut self,
                idol_message: &::idol_runtime::userlib::RecvMessage,
                #(#args,)*
                #(#leases,)*
            ) -> ::core::result::Result<#value, ::idol_runtime::RequestError<#error>>;
        }
    });
    quote! {
        #[doc = #doc]
        #[allow(unreachable_pub, clippy::too_many_arguments)]
        pub trait #name: ::idol_runtime::NotificationHandler {
            /// The only task to take messages from now; `None` is all of them.
            fn recv_source(&self) -> ::core::option::Option<::idol_runtime::userlib::TaskId> {
                None
            }

            /// The task in [`recv_source`](Self::recv_source) is dead.
            fn closed_recv_fail(&mut self) {
                panic!(#dead);
            }

            #(#methods)*
        }
    }
}

fn dispatcher(interface: &str, ops: &[Op<'_>]) -> TokenStream {
    let operation = format_ident!("{interface}Operation");
    let server_trait = format_ident!("InOrder{interface}Impl");
    let arms = ops.iter().map(|op| {
        let (name, body) = (&op.name, arm(op));
        quote!(#operation::#name => { #body })
    });
    quote! {
        impl<S: #server_trait> ::idol_runtime::Server<#operation>
            for (::core::marker::PhantomData<#operation>, &mut S)
        {
            type Reply = [u8; MAX_REPLY_SIZE];

            const INCOMING_SIZE: usize = INCOMING_SIZE;
            const NO_REPLY: Self::Reply = [0; MAX_REPLY_SIZE];

            #[inline]
            fn recv_source(&self) -> ::core::option::Option<::idol_runtime::userlib::TaskId> {
                #server_trait::recv_source(&*self.1)
            }

            fn closed_recv_fail(&mut self) {
                #server_trait::closed_recv_fail(self.1);
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
                let Ok(idol_operation) = #operation::try_from(idol_message.operation) else {
                    return Err(::idol_runtime::ClientError::UnknownOperation);
                };
                match idol_operation {
                    #(#arms)*
                }
            }
        }
    }
}

/// What the dispatcher does for one operation.
fn arm(op: &Op<'_>) -> TokenStream {
    let (name, args, reply) = (&op.name, &op.args, &op.reply);
    let reply_size = op.reply_size();
    let lease_count = op.model.leases.len();
    let decode = if op.packs() {
        quote!(::idol_runtime::server::unpack_args::<#args>(idol_request)?)
    } else {
        quote!(::idol_runtime::server::read_args::<#args>(idol_request)?)
    };
    let arg_names: Vec<_> = op.model.args.iter().map(|arg| ident(&arg.name.text)).collect();
    let converted = op.model.args.iter().zip(&arg_names).filter_map(|(arg, name)| {
        match op.decoded(&arg.value, quote!(#name)) {
            FromWire::Same => None,
            FromWire::Sure(value) => Some(quote!(let #name = #value;)),
            FromWire::Checked(value) => Some(quote! {
                let #name = #value.ok_or(::idol_runtime::ClientError::BadMessageContents)?;
            }),
        }
    });
    let lease_names: Vec<_> = op.model.leases.iter().map(|lease| ident(&lease.name.text)).collect();
    let taken = op.model.leases.iter().enumerate().map(|(index, lease)| {
        let (name, ty) = (ident(&lease.name.text), leased(lease));
        quote!(let #name = <#ty>::validate(idol_message, #index)?;)
    });
    let value = op
        .to_wire(op.model.reply.value(), quote!(idol_value))
        .unwrap_or_else(|| quote!(idol_value));
    let write = if op.packs() {
        quote!(::idol_runtime::server::pack_reply(&#reply { value: #value }, idol_reply))
    } else {
        quote!(::idol_runtime::server::write_reply(&#reply { value: #value }, idol_reply))
    };
    let runtime = match &op.model.reply {
        Reply::Simple(_) | Reply::Result { err: ErrorType::ServerDeath, .. } => {
            quote!(match idol_error {})
        }
        Reply::Result { err: ErrorType::CLike(_), .. } => {
            quote!(Ok((::idol_runtime::server::code(idol_error), 0)))
        }
        Reply::Result { err: ErrorType::Complex(_), .. } => {
            quote!(Ok((1, ::idol_runtime::server::pack_reply(&idol_error, idol_reply))))
        }
    };
    quote! {
        let #args { #(#arg_names,)* } = #decode;
        ::idol_runtime::server::check_frame(idol_message, #reply_size, #lease_count)?;
        #(#converted)*
        #(#taken)*
        match self.1.#name(idol_message, #(#arg_names,)* #(#lease_names,)*) {
            Ok(idol_value) => Ok((0, #write)),
            Err(::idol_runtime::RequestError::Runtime(idol_error)) => #runtime,
            Err(::idol_runtime::RequestError::Fail(idol_error)) => Err(idol_error),
        }
    }
}

/// The type under which a server sees a lease.
fn leased(lease: &Lease) -> TokenStream {
    let attributes = match (lease.read, lease.write) {
        (true, true) => quote!(::idol_runtime::RW),
        (false, true) => quote!(::idol_runtime::W),
        _ => quote!(::idol_runtime::R),
    };
    let (slice, ty) = lent(lease);
    if !slice {
        return quote!(::idol_runtime::Leased<#attributes, #ty>);
    }
    match lease.max_len {
        Some(max_len) => {
            let max_len = max_len as usize;
            quote! {
                ::idol_runtime::LenLimit<::idol_runtime::Leased<#attributes, [#ty]>, #max_len>
            }
        }
        None => quote!(::idol_runtime::Leased<#attributes, [#ty]>),
    }
}
