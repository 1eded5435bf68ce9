//! `#[derive(Count)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Result, Variant};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "Count: expected an enum"));
    };
    let (name, vis) = (&input.ident, &input.vis);
    let (impl_generics, type_generics, bounds) = input.generics.split_for_impl();
    let counts = format_ident!("{name}Counts");
    let doc = format!("How often each [`{name}`] happened.");
    let (mut counted, mut docs, mut arms) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        let ident = &variant.ident;
        if is_skipped(variant)? {
            arms.push(quote!(Self::#ident { .. } => {}));
        } else {
            counted.push(ident);
            docs.push(format!("Times that `{ident}` happened."));
            arms.push(quote!(Self::#ident { .. } => counters.#ident.increment(),));
        }
    }
    // An enum without variants has nothing to match by reference.
    let count = if data.variants.is_empty() {
        quote!(match *self {})
    } else {
        quote!(match self { #(#arms)* })
    };
    let unused = counted.is_empty().then(|| quote!(let _ = counters;));
    Ok(quote! {
        #[doc = #doc]
        #[derive(Debug)]
        // In the order of the variants, for whoever knows the enum.
        #[repr(C)]
        #[allow(non_snake_case, reason = "the fields are named like the variants")]
        #vis struct #counts {
            #(
                #[doc = #docs]
                pub #counted: ::counters::AtomicU32,
            )*
        }

        impl #impl_generics ::counters::Count for #name #type_generics #bounds {
            type Counters = #counts;

            #[allow(clippy::declare_interior_mutable_const, reason = "a fresh set each time")]
            const NEW_COUNTERS: #counts = #counts {
                #(#counted: ::counters::AtomicU32::new(0),)*
            };

            fn count(&self, counters: &#counts) {
                #unused
                #count
            }
        }
    })
}

fn is_skipped(variant: &Variant) -> Result<bool> {
    let mut skipped = false;
    for attribute in variant.attrs.iter().filter(|a| a.path().is_ident("count")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skipped = true;
                Ok(())
            } else {
                Err(meta.error("expected `skip`"))
            }
        })?;
    }
    Ok(skipped)
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::derive;

    #[test]
    fn only_enums_are_counted() {
        let refusal = derive(&parse_quote!(
            struct S;
        ))
        .expect_err("no variants to count");
        assert_eq!(refusal.to_string(), "Count: expected an enum");
    }

    #[test]
    fn misspelt_skip_is_refused() {
        let refusal = derive(&parse_quote!(
            enum E {
                #[count(skipp)]
                A,
            }
        ))
        .expect_err("misspelt");
        assert_eq!(refusal.to_string(), "expected `skip`");
    }
}
