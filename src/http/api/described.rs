//! Schemas of what stands in bodies as plain text or as a document, and is read by other rooms.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema, SchemaFormat,
        schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Type},
    },
};

use crate::{
    cmi5::LaunchMode,
    model::{Scope, Scopes, attempt::MoveOn},
};

/// Any scope.
pub struct ScopeName;

/// A scope that a launch may have.
pub struct LaunchScopeName;

/// What a unit asks for.
pub struct MoveOnName;

/// How a unit is launched.
pub struct LaunchModeName;

/// An activity's id: an absolute IRI.
pub struct ActivityId;

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

impl PartialSchema for MoveOnName {
    fn schema() -> RefOr<Schema> {
        one_of(MoveOn::ALL.into_iter().map(MoveOn::as_str))
    }
}

impl PartialSchema for LaunchModeName {
    fn schema() -> RefOr<Schema> {
        one_of(LaunchMode::ALL.into_iter().map(LaunchMode::as_str))
    }
}

impl PartialSchema for ActivityId {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).format(Some(iri())).max_length(Some(4_096)).build().into()
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

impl ToSchema for MoveOnName {
    fn name() -> Cow<'static, str> {
        "MoveOn".into()
    }
}

impl ToSchema for LaunchModeName {
    fn name() -> Cow<'static, str> {
        "LaunchMode".into()
    }
}

impl ToSchema for ActivityId {
    fn name() -> Cow<'static, str> {
        "ActivityId".into()
    }
}

impl ToSchema for AgentGiven {
    fn name() -> Cow<'static, str> {
        "Agent".into()
    }
}
