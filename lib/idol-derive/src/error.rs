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

#[cfg(test)]
mod tests {
    use syn::{DeriveInput, parse_quote};

    use super::derive;

    fn refusal(input: &DeriveInput) -> String {
        derive(input).expect_err("it breaks a rule").to_string()
    }

    #[test]
    fn error_without_server_death_is_refused() {
        let message = refusal(&parse_quote!(
            enum E {
                TooMuch = 1,
            }
        ));
        assert_eq!(message, "IdolError: no variant carries #[idol(server_death)]");
    }

    #[test]
    fn error_with_two_server_deaths_is_refused() {
        let message = refusal(&parse_quote! {
            enum E { #[idol(server_death)] A = 1, #[idol(server_death)] B }
        });
        assert_eq!(message, "IdolError: more than one server-death variant");
    }

    #[test]
    fn server_death_with_fields_is_refused() {
        let message = refusal(&parse_quote!(
            enum E {
                #[idol(server_death)]
                Died(u8),
            }
        ));
        assert_eq!(message, "IdolError: the server-death variant has no fields");
    }

    #[test]
    fn misspelt_server_death_is_refused() {
        let message = refusal(&parse_quote!(
            enum E {
                #[idol(serverdeath)]
                Died = 1,
            }
        ));
        assert_eq!(message, "expected `server_death`");
    }

    #[test]
    fn error_is_an_enum_without_generics() {
        let message = refusal(&parse_quote!(
            struct E;
        ));
        assert_eq!(message, "IdolError: expected an enum");
        let message = refusal(&parse_quote!(
            enum E<T> {
                #[idol(server_death)]
                A,
                B(T),
            }
        ));
        assert_eq!(message, "IdolError: expected no generics");
    }

    #[test]
    fn error_with_fields_gets_no_code() {
        let input = parse_quote!(
            enum E {
                #[idol(server_death)]
                Died,
                Excess(u8),
            }
        );
        let derived = derive(&input).expect("in order").to_string();
        assert!(derived.contains("SERVER_DEATH") && !derived.contains("CLikeError"));
    }
}
