//! Schemas of what stands in bodies as plain text or as a document, and is read by other rooms.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema, SchemaFormat,
        schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Type},
    },
};

use crate::model::{Scope, Scopes};

/// Any scope.
pub struct ScopeName;

/// A scope that a launch may have.
pub struct LaunchScopeName;

/// An Agent as the specification has it: exactly one identifier, and perhaps a name.
pub struct AgentGiven;

fn one_of(names: impl Iterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build().into()
}

impl PartialSchema for ScopeName {
    fn schema() -> RefOr<Schema> {
        one_of(Scope::every().map(Scope::name))
    }
}

impl PartialSchema for LaunchScopeName {
    fn schema() -> RefOr<Schema> {
        let most = Scopes::new([Scope::All]);
        one_of(Scope::every().filter(|scope| most.allows(*scope)).map(Scope::name))
    }
}

impl PartialSchema for AgentGiven {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let mbox = r#"^mailto:[^@\s\x00-\x1f\x7f-\x9f<>\\"{}^`]+@[^\s\x00-,/;-@\\^`{-\x9f]+$"#;
        let account = ObjectBuilder::new()
            .property("homePage", text().format(Some(iri())))
            .property("name", text())
            .required("homePage")
            .required("name")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        let identifiers: [(&str, RefOr<Schema>); 4] = [
            ("mbox", text().pattern(Some(mbox)).into()),
            ("mbox_sha1sum", text().pattern(Some("^[0-9a-fA-F]{40}$")).into()),
            ("openid", text().format(Some(iri())).into()),
            ("account", account.into()),
        ];
        let agent = |(name, identifier): (&str, RefOr<Schema>)| {
            ObjectBuilder::new()
                .property("objectType", text().enum_values(Some(["Agent"])))
                .property("name", text())
                .property(name, identifier)
                .required(name)
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let any = identifiers.into_iter().map(agent).fold(OneOfBuilder::new(), OneOfBuilder::item);
        any.description(Some("An Agent: exactly one identifier, and perhaps a name.")).into()
    }
}

fn iri() -> SchemaFormat {
    SchemaFormat::Custom("iri".to_owned())
}

impl ToSchema for ScopeName {
    fn name() -> Cow<'static, str> {
        "ScopeName".into()
    }
}

impl ToSchema for LaunchScopeName {
    fn name() -> Cow<'static, str> {
        "LaunchScopeName".into()
    }
}

impl ToSchema for AgentGiven {
    fn name() -> Cow<'static, str> {
        "Agent".into()
    }
}
