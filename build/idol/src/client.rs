//! Generates the client side of an interface.
//!
//! A struct named like the interface with one method per operation. Method
//! arguments are the operation's arguments, then its leases as references.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use proc_macro2::TokenStream;
use quote::quote;

use crate::check::check;
use crate::codegen::{FromWire, Op, check_generatable, ident, lent, path, render, ty};
use crate::diagnostic::Failure;
use crate::model::{ErrorType, Interface, Reply};

/// For a build script: generates the client side of the interface in
/// `source` into the file `stub` of `OUT_DIR`.
///
/// # Errors
/// When the interface is not in order, or the file cannot be written.
pub fn build_client_stub(source: impl AsRef<Path>, stub: &str) -> Result<(), Box<dyn Error>> {
    write_stub(source.as_ref(), stub, &generate_client_stub(source.as_ref())?)
}

/// The client side of the interface in `source`, as Rust source text.
///
/// # Errors
/// When the interface is not in order.
pub fn generate_client_stub(source: impl AsRef<Path>) -> Result<String, Box<dyn Error>> {
    let interface = check(&source).map_err(Failure)?;
    check_generatable(source.as_ref(), &interface)?;
    Ok(render(generate(&interface))?)
}

pub(crate) fn write_stub(source: &Path, stub: &str, text: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", source.display());
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: this is for build scripts")?;
    fs::write(PathBuf::from(out).join(stub), text)?;
    Ok(())
}

fn generate(interface: &Interface) -> TokenStream {
    let name = ident(&interface.name.text);
    let doc = format!("Client of an `{name}` server.");
    let ops = Op::all(interface);
    let travelling = ops.iter().map(Op::travelling);
    let methods = ops.iter().map(method);
    quote! {
        #(#travelling)*

        #[doc = #doc]
        #[derive(Clone, Debug)]
        #[allow(unreachable_pub)]
        pub struct #name {
            idol_server: ::core::cell::Cell<::idol_runtime::userlib::TaskId>,
        }

        impl ::core::convert::From<::idol_runtime::userlib::TaskId> for #name {
            fn from(server: ::idol_runtime::userlib::TaskId) -> Self {
                Self { idol_server: ::core::cell::Cell::new(server) }
            }
        }

        #[allow(dead_code, unreachable_pub, clippy::too_many_arguments, clippy::unit_arg)]
        impl #name {
            /// The server's incarnation that the next request goes to.
            #[must_use]
            pub fn task_id(&self) -> ::idol_runtime::userlib::TaskId {
                self.idol_server.get()
            }

            /// Brings the client up to the server's current incarnation.
            pub fn refresh_task_id(&self) {
                ::idol_runtime::client::refresh(&self.idol_server);
            }

            #(#methods)*
        }
    }
}

fn method(op: &Op<'_>) -> TokenStream {
    let (name, title) = (&op.name, &op.title);
    let docs = match &op.docs()[..] {
        [] => vec![format!(" Asks for `{title}`.")],
        lines => lines.iter().map(|line| format!(" {line}")).collect(),
    };
    let args = op.model.args.iter().map(|arg| {
        let (name, ty) = (ident(&arg.name.text), ty(&arg.value.text));
        quote!(#name: #ty)
    });
    let lease_args = op.model.leases.iter().map(|lease| {
        let name = ident(&lease.name.text);
        let (slice, ty) = lent(lease);
        let ty = if slice { quote!([#ty]) } else { quote!(#ty) };
        if lease.write { quote!(#name: &mut #ty) } else { quote!(#name: &#ty) }
    });
    let value = ty(&op.model.reply.value().text);
    let returned = match &op.model.reply {
        Reply::Simple(_) => quote!(#value),
        Reply::Result { err, .. } => {
            let error = error_type(err);
            quote!(::core::result::Result<#value, #error>)
        }
    };
    let body = body(op);
    let error_docs = error_docs(op);
    quote! {
        #(#[doc = #docs])*
        #(#[doc = #error_docs])*
        pub fn #name(&self, #(#args,)* #(#lease_args,)*) -> #returned {
            #body
        }
    }
}

fn error_docs(op: &Op<'_>) -> Vec<String> {
    let again = if op.model.idempotent.is_some() { " four times in a row" } else { "" };
    let lines: &[String] = match &op.model.reply {
        Reply::Simple(_) => {
            &["".into(), " # Panics".into(), format!(" When the server dies over it{again}.")]
        }
        Reply::Result { err: ErrorType::ServerDeath, .. } => {
            &["".into(), " # Errors".into(), format!(" When the server dies over it{again}.")]
        }
        Reply::Result { .. } => &[
            "".into(),
            " # Errors".into(),
            format!(" What the server answers, or that it died over it{again}."),
        ],
    };
    lines.to_vec()
}

fn body(op: &Op<'_>) -> TokenStream {
    let (title, number) = (&op.title, op.number());
    let limits = op.model.leases.iter().filter_map(|lease| {
        let max_len = lease.max_len? as usize;
        let (name, text) = (ident(&lease.name.text), &lease.name.text);
        Some(quote! {
            if #name.len() > #max_len {
                ::idol_runtime::client::lease_too_long(#title, #text, #max_len);
            }
        })
    });
    let (args, reply) = (&op.args, &op.reply);
    let fields = op.model.args.iter().map(|arg| {
        let name = ident(&arg.name.text);
        match op.to_wire(&arg.value, quote!(#name)) {
            Some(sent) => quote!(#name: #sent),
            None => quote!(#name),
        }
    });
    let request = if op.packs() {
        let size = op.args_size();
        quote! {
            let mut idol_packed = [0; #size];
            let idol_len = ::idol_runtime::packed::pack(&idol_args, &mut idol_packed);
            let idol_request = &idol_packed[..idol_len];
        }
    } else {
        quote! {
            let idol_request = ::idol_runtime::zerocopy::IntoBytes::as_bytes(&idol_args);
        }
    };
    let leases = op.model.leases.iter().map(|lease| {
        let name = ident(&lease.name.text);
        let bytes = quote!(::idol_runtime::zerocopy::IntoBytes::as_bytes(#name));
        let bytes_mut = quote!(::idol_runtime::zerocopy::IntoBytes::as_mut_bytes(#name));
        let lease_type = quote!(::idol_runtime::userlib::Lease);
        match (lease.read, lease.write) {
            (true, true) => quote!(#lease_type::read_write(#bytes_mut)),
            (false, true) => quote!(#lease_type::write_only(#bytes_mut)),
            _ => quote!(#lease_type::read_only(#bytes)),
        }
    });
    let attempts = match op.model.idempotent {
        Some(_) => quote!(::idol_runtime::client::Attempts::IDEMPOTENT),
        None => quote!(::idol_runtime::client::Attempts::ONCE),
    };
    let reply_size = op.reply_size();
    let decoded = if op.packs() {
        quote!(match ::idol_runtime::packed::unpack::<#reply>(&idol_reply[..idol_len]) {
            Ok(idol_reply) => idol_reply,
            Err(_) => ::idol_runtime::client::bad_reply(#title),
        })
    } else {
        quote!(match <#reply as ::idol_runtime::zerocopy::FromBytes>::read_from_bytes(
            &idol_reply[..idol_len],
        ) {
            Ok(idol_reply) => idol_reply,
            Err(_) => ::idol_runtime::client::bad_reply(#title),
        })
    };
    let taken = quote!({
        let #reply { value: idol_value } = #decoded;
        idol_value
    });
    let value = match op.decoded(op.model.reply.value(), taken.clone()) {
        FromWire::Same => taken,
        FromWire::Sure(value) => value,
        FromWire::Checked(value) => quote!(match #value {
            Some(idol_value) => idol_value,
            None => ::idol_runtime::client::bad_reply(#title),
        }),
    };
    let arms = match &op.model.reply {
        Reply::Simple(_) => quote! {
            Ok((0, idol_len)) => #value,
            Ok(_) => ::idol_runtime::client::bad_reply(#title),
            Err(_) => ::idol_runtime::client::server_keeps_dying(#title),
        },
        Reply::Result { err: ErrorType::ServerDeath, .. } => quote! {
            Ok((0, idol_len)) => Ok(#value),
            Ok(_) => ::idol_runtime::client::bad_reply(#title),
            Err(idol_death) => Err(idol_death),
        },
        Reply::Result { err: ErrorType::CLike(error), .. } => {
            let error = path(&error.text);
            quote! {
                Ok((0, idol_len)) => Ok(#value),
                Ok((idol_code, _)) => {
                    Err(::idol_runtime::client::error::<#error>(idol_code, #title))
                }
                Err(_) => Err(<#error as ::idol_runtime::IdolError>::SERVER_DEATH),
            }
        }
        Reply::Result { err: ErrorType::Complex(error), .. } => {
            let error = path(&error.text);
            quote! {
                Ok((0, idol_len)) => Ok(#value),
                Ok((1, idol_len)) => {
                    match ::idol_runtime::packed::unpack::<#error>(&idol_reply[..idol_len]) {
                        Ok(idol_error) => Err(idol_error),
                        Err(_) => ::idol_runtime::client::bad_reply(#title),
                    }
                }
                Ok(_) => ::idol_runtime::client::bad_reply(#title),
                Err(_) => Err(<#error as ::idol_runtime::IdolError>::SERVER_DEATH),
            }
        }
    };
    quote! {
        #(#limits)*
        let idol_args = #args { #(#fields,)* };
        #request
        let mut idol_reply = [0; #reply_size];
        match ::idol_runtime::client::call(
            &self.idol_server,
            #number,
            idol_request,
            &mut idol_reply,
            &[#(#leases,)*],
            #attempts,
        ) {
            #arms
        }
    }
}

fn error_type(error: &ErrorType) -> TokenStream {
    match error {
        ErrorType::CLike(error) | ErrorType::Complex(error) => {
            let error = path(&error.text);
            quote!(#error)
        }
        ErrorType::ServerDeath => quote!(::idol_runtime::ServerDeath),
    }
}
