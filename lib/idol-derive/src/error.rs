//! `#[derive(IdolError)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "IdolError: expected an enum"));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "IdolError: expected no generics"));
    }
    let name = &input.ident;
    let death = &death_variant(input, data.variants.iter())?.ident;
    let error = quote! {
        impl ::idol_runtime::IdolError for #name {
            const SERVER_DEATH: Self = Self::#death;
        }
    };
    if !data.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit)) {
        return Ok(error);
    }
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    let message = format!("{name}: a response code lies in 1 to 65535 (give the first variant 1)");
    Ok(quote! {
        #error

        const _: () = {
            #(
                let code = #name::#variants as i128;
                assert!(code >= 1 && code <= 65535, #message);
            )*
        };

        impl ::idol_runtime::CLikeError for #name {}

        impl ::core::convert::From<#name> for u32 {
            fn from(error: #name) -> Self {
                error as u32
            }
        }

        impl ::core::convert::From<#name> for u16 {
            fn from(error: #name) -> Self {
                error as u16
            }
        }

        impl ::core::convert::TryFrom<u32> for #name {
            type Error = ();

            fn try_from(code: u32) -> ::core::result::Result<Self, ()> {
                #(
                    if code == #name::#variants as u32 {
                        return ::core::result::Result::Ok(#name::#variants);
                    }
                )*
                ::core::result::Result::Err(())
            }
        }
    })
}

fn death_variant<'v>(
    input: &DeriveInput,
    variants: impl Iterator<Item = &'v Variant>,
) -> Result<&'v Variant> {
    let mut death = None;
    for variant in variants {
        for attribute in variant.attrs.iter().filter(|a| a.path().is_ident("idol")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("server_death") {
                    Ok(())
                } else {
                    Err(meta.error("expected `server_death`"))
                }
            })?;
            if !matches!(variant.fields, Fields::Unit) {
                let message = "IdolError: the server-death variant has no fields";
                return Err(Error::new_spanned(variant, message));
            }
            if death.replace(variant).is_some() {
                let message = "IdolError: more than one server-death variant";
                return Err(Error::new_spanned(variant, message));
            }
        }
    }
    death.ok_or_else(|| {
        let message = "IdolError: no variant carries #[idol(server_death)]";
        Error::new_spanned(&input.ident, message)
    })
}
