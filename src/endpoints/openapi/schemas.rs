//! What is put right in the schemas that are derived.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayItems, Ref, Schema};

pub(in crate::endpoints) type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Puts references where type arguments were written out, and takes back defaults that are none: of fields that must be
/// given, and those that say no more than that the field may be missing.
pub(in crate::endpoints) fn tidy(schemas: &mut Schemas) {
    let named = schemas.clone();
    for schema in schemas.values_mut() {
        let RefOr::T(Schema::Object(object)) = schema else {
            continue;
        };
        for (name, property) in &mut object.properties {
            let must_be_given = object.required.contains(name);
            refer(property, &named);
            let RefOr::T(property) = property else {
                continue;
            };
            let default = match property {
                Schema::Object(object) => &mut object.default,
                Schema::Array(array) => &mut array.default,
                Schema::OneOf(one_of) => &mut one_of.default,
                _ => continue,
            };
            if must_be_given || *default == Some(Value::Null) {
                *default = None;
            }
        }
    }
}

/// Replaces what is as a named schema by a reference to that.
fn refer(place: &mut RefOr<Schema>, named: &Schemas) {
    if let RefOr::T(Schema::Array(array)) = place {
        if let ArrayItems::RefOrSchema(items) = &mut array.items {
            refer(items, named);
        }
        return;
    }
    if let RefOr::T(_) = place
        && let Some((name, _)) = named.iter().find(|(_, schema)| *schema == place)
    {
        *place = RefOr::Ref(Ref::from_schema_name(name));
    }
}
