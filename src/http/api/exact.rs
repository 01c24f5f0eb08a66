//! What holds for every request of `/api/v1` and stands in no annotation: added to the description in one place.

use utoipa::openapi::{
    OpenApi, RefOr, Required, Schema,
    path::{Operation, ParameterIn},
    schema::{ArrayItems, Object, SchemaType, Type},
};

/// No text of a request holds a NUL: PostgreSQL keeps none.
const WITHOUT_NUL: &str = r"^[^\x00]*$";

/// Parameters and the body of one operation.
pub fn operation(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let in_path = parameter.parameter_in == ParameterIn::Path;
        if in_path {
            parameter.required = Required::True;
        }
        if let Some(RefOr::T(schema)) = &mut parameter.schema {
            not_null(schema);
            bounded(schema);
            if let (true, Schema::Object(text)) = (in_path && is_free_text(schema), schema) {
                text.min_length = Some(1);
            }
        }
    }
    for content in operation.request_body.iter_mut().flat_map(|body| body.content.values_mut()) {
        // A body that may be left out is not `null` where it is sent.
        if let Some(RefOr::T(Schema::OneOf(either))) = &mut content.schema {
            either.items.retain(|item| !is_null(item));
            if let [only] = either.items.as_slice() {
                content.schema = Some(only.clone());
            }
        }
    }
}

/// The schemas of bodies, which are those that take no member they do not know.
pub fn components(whole: &mut OpenApi) {
    let schemas = whole.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in schemas.filter_map(owned).filter(|schema| is_closed(schema)) {
        bounded(schema);
    }
}

fn owned(schema: &mut RefOr<Schema>) -> Option<&mut Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(_) => None,
    }
}

fn is_closed(schema: &Schema) -> bool {
    match schema {
        Schema::Object(object) => object.additional_properties.is_some(),
        Schema::OneOf(either) => either
            .items
            .iter()
            .all(|item| matches!(item, RefOr::T(Schema::Object(o)) if o.additional_properties.is_some())),
        _ => false,
    }
}

/// A parameter is there or not; it has no way of being `null`.
fn not_null(schema: &mut Schema) {
    if let Schema::Object(Object { schema_type: kind @ SchemaType::Array(_), .. }) = schema
        && let SchemaType::Array(kinds) = &*kind
        && let [one] = kinds.iter().filter(|one| **one != Type::Null).cloned().collect::<Vec<_>>().as_slice()
    {
        *kind = SchemaType::Type(one.clone());
    }
    if let Schema::OneOf(either) = schema {
        either.items.retain(|item| !is_null(item));
        if let [RefOr::T(only)] = either.items.as_slice() {
            *schema = only.clone();
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(Object { schema_type: SchemaType::Type(Type::Null), .. })))
}

fn is_free_text(schema: &Schema) -> bool {
    let Schema::Object(Object { schema_type, format, enum_values, .. }) = schema else { return false };
    let is_text = match schema_type {
        SchemaType::Type(one) => *one == Type::String,
        SchemaType::Array(many) => many.contains(&Type::String),
        SchemaType::AnyValue => false,
    };
    is_text && format.is_none() && enum_values.is_none()
}

/// Says of every free text in the schema that it holds no NUL.
fn bounded(schema: &mut Schema) {
    let is_free = is_free_text(schema);
    match schema {
        Schema::Object(object) => {
            if is_free && object.pattern.is_none() {
                object.pattern = Some(WITHOUT_NUL.to_owned());
            }
            object.properties.values_mut().filter_map(owned).for_each(bounded);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                owned(items).into_iter().for_each(bounded);
            }
        }
        Schema::OneOf(either) => either.items.iter_mut().filter_map(owned).for_each(bounded),
        _ => {}
    }
}
