//! What client and server side have in common: the types that travel.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Path, Type, parse_str};

use crate::diagnostic::{Diagnostic, Failure, Rule};
use crate::model::{Encoding, ErrorType, Interface, Lease, Operation, Recv, Reply, Typed};

/// The type that the file wrote as `text`, which was checked to parse.
pub(crate) fn ty(text: &str) -> Type {
    parse_str(text).expect("checked when the file was read")
}

pub(crate) fn path(text: &str) -> Path {
    parse_str(text).expect("checked when the file was read")
}

pub(crate) fn ident(text: &str) -> Ident {
    format_ident!("{text}")
}

/// Refuses what is in order but cannot be generated.
pub(crate) fn check_generatable(
    file: &std::path::Path,
    interface: &Interface,
) -> Result<(), Failure> {
    let refused: Vec<_> = interface
        .ops
        .iter()
        .filter(|op| op.encoding == Encoding::Ssmarshal)
        .map(|op| Diagnostic {
            rule: Rule::Project,
            file: file.into(),
            line: op.name.at.line,
            column: op.name.at.column,
            message: format!("`{}` uses Ssmarshal, for which no code is generated", op.name.text),
            expected: "Zerocopy or Hubpack".into(),
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Failure(refused)) }
}

/// One operation with the names that its generated parts go by.
pub(crate) struct Op<'i> {
    pub(crate) model: &'i Operation,
    /// `Interface.operation`, for messages.
    pub(crate) title: String,
    pub(crate) name: Ident,
    pub(crate) args: Ident,
    pub(crate) reply: Ident,
}

impl<'i> Op<'i> {
    pub(crate) fn all(interface: &'i Interface) -> Vec<Self> {
        let iface = &interface.name.text;
        interface
            .ops
            .iter()
            .map(|model| Self {
                model,
                title: format!("{iface}.{}", model.name.text),
                name: ident(&model.name.text),
                args: format_ident!("{iface}_{}_ARGS", model.name.text),
                reply: format_ident!("{iface}_{}_REPLY", model.name.text),
            })
            .collect()
    }

    pub(crate) fn packs(&self) -> bool {
        self.model.encoding == Encoding::Hubpack
    }

    pub(crate) fn number(&self) -> u16 {
        self.model.number
    }

    pub(crate) fn docs(&self) -> Vec<&str> {
        match &self.model.doc {
            Some(doc) => doc.lines().map(str::trim_end).collect(),
            None => Vec::new(),
        }
    }

    /// Size of the largest request, as an expression.
    pub(crate) fn args_size(&self) -> TokenStream {
        self.size_of(&self.args)
    }

    /// Size of the largest reply, be it a value or an error, as an expression.
    pub(crate) fn reply_size(&self) -> TokenStream {
        let value = self.size_of(&self.reply);
        match &self.model.reply {
            Reply::Result { err: ErrorType::Complex(error), .. } => {
                let error = path(&error.text);
                let error = quote!(<#error as ::idol_runtime::packed::Packed>::MAX_SIZE);
                quote!(::idol_runtime::largest(&[#value, #error]))
            }
            _ => value,
        }
    }

    /// Size of the reply that carries a value, as an expression.
    pub(crate) fn size_of(&self, part: &Ident) -> TokenStream {
        if self.packs() {
            quote!(<#part as ::idol_runtime::packed::Packed>::MAX_SIZE)
        } else {
            quote!(::core::mem::size_of::<#part>())
        }
    }

    /// The type that `value` travels as.
    pub(crate) fn wire(&self, value: &Typed) -> TokenStream {
        let target = ty(&value.text);
        match &value.recv {
            _ if value.text == "bool" => {
                if self.packs() {
                    quote!(bool)
                } else {
                    quote!(u8)
                }
            }
            Recv::FromBytes => quote!(#target),
            Recv::FromPrimitive(raw) | Recv::From { raw, .. } => {
                let raw = ty(raw);
                quote!(#raw)
            }
        }
    }

    /// What travels for `value`, out of the expression `from`; `None` when that
    /// is what travels.
    pub(crate) fn to_wire(&self, value: &Typed, from: TokenStream) -> Option<TokenStream> {
        match &value.recv {
            _ if value.text == "bool" => (!self.packs()).then(|| quote!(u8::from(#from))),
            Recv::FromBytes => None,
            Recv::FromPrimitive(raw) => {
                let raw = ident(raw);
                Some(quote!(#from as #raw))
            }
            Recv::From { raw, .. } => {
                let raw = ty(raw);
                Some(quote!(<#raw as ::core::convert::From<_>>::from(#from)))
            }
        }
    }

    /// `value` out of the expression `from` for what travelled, checked where
    /// it can be wrong.
    pub(crate) fn decoded(&self, value: &Typed, from: TokenStream) -> FromWire {
        let target = ty(&value.text);
        match &value.recv {
            _ if value.text == "bool" && !self.packs() => {
                FromWire::Checked(quote!(::idol_runtime::bool_from_byte(#from)))
            }
            _ if value.text == "bool" => FromWire::Same,
            Recv::FromBytes => FromWire::Same,
            Recv::FromPrimitive(raw) => {
                let convert = format_ident!("from_{raw}");
                FromWire::Checked(
                    quote!(<#target as ::idol_runtime::FromPrimitive>::#convert(#from)),
                )
            }
            Recv::From { via: Some(function), .. } => {
                let function = path(function);
                FromWire::Sure(quote!(#function(#from)))
            }
            Recv::From { raw, via: None } => {
                let raw = ty(raw);
                FromWire::Sure(quote!(<#target as ::core::convert::From<#raw>>::from(#from)))
            }
        }
    }

    /// The structs that travel: `<Interface>_<operation>_ARGS` and `_REPLY`,
    /// names under which a debugger looks for them.
    pub(crate) fn travelling(&self) -> TokenStream {
        let args = self.model.args.iter().map(|arg| (ident(&arg.name.text), self.wire(&arg.value)));
        let value = self.model.reply.value();
        let args = self.wire_struct(&self.args, &args.collect::<Vec<_>>());
        let reply = self.wire_struct(&self.reply, &[(ident("value"), self.wire(value))]);
        quote!(#args #reply)
    }

    fn wire_struct(&self, name: &Ident, fields: &[(Ident, TokenStream)]) -> TokenStream {
        let names = fields.iter().map(|(name, _)| name);
        let types: Vec<_> = fields.iter().map(|(_, ty)| ty).collect();
        let fields = quote!({ #(#names: #types,)* });
        if self.packs() {
            quote! {
                #[allow(non_camel_case_types)]
                #[derive(::idol_runtime::packed::Packed)]
                #[packed(crate = "::idol_runtime::packed")]
                struct #name #fields
            }
        } else {
            quote! {
                #[allow(non_camel_case_types)]
                #[derive(
                    ::idol_runtime::zerocopy::FromBytes,
                    ::idol_runtime::zerocopy::Immutable,
                    ::idol_runtime::zerocopy::IntoBytes,
                )]
                #[zerocopy(crate = "idol_runtime::zerocopy")]
                #[repr(C, packed)]
                struct #name #fields
            }
        }
    }
}

/// How a value comes out of what travelled.
pub(crate) enum FromWire {
    /// It is what travelled.
    Same,
    /// An expression for the value.
    Sure(TokenStream),
    /// An expression for an `Option` of it.
    Checked(TokenStream),
}

/// What a lease is lent as.
pub(crate) fn lent(lease: &Lease) -> (bool, Type) {
    match ty(&lease.text) {
        Type::Slice(slice) => (true, *slice.elem),
        other => (false, other),
    }
}

/// Source text of generated items.
pub(crate) fn render(tokens: TokenStream) -> Result<String, syn::Error> {
    Ok(prettyplease::unparse(&syn::parse2(tokens)?))
}
