//! Every rule by its id, with the sentence `docs/validation.md` prints for it. Ids are stable: clients may match on them.

macro_rules! rules {
    ($($name:ident = $id:literal: $sentence:literal;)*) => {
        $(#[doc = $sentence] pub const $name: &str = $id;)*

        /// Ids and sentences in the order of the document.
        pub const ALL: &[(&str, &str)] = &[$(($id, $sentence)),*];
    };
}

rules! {
    BODY_BYTES = "body.bytes": "A body of statements is no larger than the limit `body_bytes`.";
    JSON_UTF8 = "json.utf8": "JSON is encoded as UTF-8.";
    JSON_SYNTAX = "json.syntax": "JSON follows RFC 8259.";
    JSON_DEPTH = "json.depth": "JSON is nested no deeper than the limit `depth`.";
    JSON_VALUES = "json.values": "JSON holds no more values than the limit `values`.";
    JSON_DUPLICATE = "json.key.duplicate": "A property stands once in its object.";
    JSON_RESERVED = "json.key.reserved": "No property name begins with `$serde_json::private::`.";
    JSON_SURROGATE = "json.string.surrogate": "A `\\u` escape is a character or one half of a complete surrogate pair.";
    VIOLATIONS_MORE = "violations.more": "More violations were found than the limit `violations` lists.";

    BATCH_TYPE = "batch.type": "The body is one statement (an object) or an array of statements.";
    BATCH_STATEMENTS = "batch.statements": "A request holds no more statements than the limit `statements`.";
    BATCH_DUPLICATE = "batch.id.duplicate": "No two statements of a request have the same id.";
    STATEMENT_BYTES = "statement.bytes": "A statement is no larger than the limit `statement_bytes`.";

    TYPE_OBJECT = "type.object": "The value is a JSON object.";
    TYPE_ARRAY = "type.array": "The value is a JSON array.";
    TYPE_STRING = "type.string": "The value is a JSON string.";
    TYPE_NUMBER = "type.number": "The value is a JSON number (a number in quotes is not).";
    TYPE_BOOLEAN = "type.boolean": "The value is `true` or `false` (in quotes it is not).";
    VALUE_NULL = "value.null": "Null stands nowhere except inside extensions.";
    TEXT_NUL = "text.nul": "Names of actors and accounts hold no character U+0000.";
    PROPERTY_UNKNOWN = "property.unknown": "An object has only the properties the specification gives it, in that case.";
    PROPERTY_REQUIRED = "property.required": "An object has all the properties the specification requires.";
    IRI_BYTES = "iri.bytes": "An IRI is no longer than the limit `iri_bytes`.";
    LANGUAGE_MAP_TAG = "language-map.tag": "The keys of a language map are RFC 5646 language tags.";
    EXTENSIONS_KEY = "extensions.key.iri": "The keys of extensions are absolute IRIs.";

    STATEMENT_ID = "statement.id.uuid": "A statement's `id` is a UUID in its standard form.";
    STATEMENT_TIMESTAMP = "statement.timestamp": "`timestamp` is an ISO 8601 date and time whose offset is not minus zero.";
    STATEMENT_STORED = "statement.stored": "`stored` is an ISO 8601 date and time whose offset is not minus zero.";
    STATEMENT_VERSION = "statement.version": "`version` is 1.0 or 1.0.x; a request in 2.0 may also say 2.0 or 2.0.x.";
    STATEMENT_VOIDING = "statement.voiding.object": "The object of a voiding statement is a StatementRef.";

    ACTOR_OBJECT_TYPE = "actor.object-type": "The `objectType` of an actor is `Agent` or `Group`.";
    AGENT_OBJECT_TYPE = "agent.object-type": "The `objectType` of an agent, where only an agent may stand, is `Agent`.";
    GROUP_OBJECT_TYPE = "group.object-type": "The `objectType` of a group, where only a group may stand, is `Group`.";
    AGENT_IFI = "agent.ifi.one": "An agent has exactly one of `mbox`, `mbox_sha1sum`, `openid` and `account`.";
    GROUP_IFI = "group.ifi.one": "A group has at most one of `mbox`, `mbox_sha1sum`, `openid` and `account`.";
    GROUP_IDENTIFIED = "group.identified": "A group that stands for itself in a query has an identifier.";
    GROUP_MEMBER = "group.member.required": "A group without an identifier has `member`.";
    GROUP_NESTED = "group.member.agent": "The members of a group are agents, never groups.";
    MBOX = "agent.mbox": "`mbox` is `mailto:` and an e-mail address.";
    MBOX_SHA1SUM = "agent.mbox-sha1sum": "`mbox_sha1sum` is 40 hexadecimal digits.";
    OPENID = "agent.openid.iri": "`openid` is an absolute URI.";
    ACCOUNT_HOME_PAGE = "account.home-page.iri": "`homePage` of an account is an absolute IRL.";
    AUTHORITY_GROUP = "authority.group": "An authority that is a group has no identifier and exactly two members.";

    VERB_ID = "verb.id.iri": "A verb's `id` is an absolute IRI.";
    OBJECT_TYPE = "object.object-type": "`objectType` of an object is `Activity`, `Agent`, `Group`, `SubStatement` or `StatementRef`.";
    ACTIVITY_OBJECT_TYPE = "activity.object-type": "`objectType` of an activity is `Activity`.";
    ACTIVITY_ID = "activity.id.iri": "An activity's `id` is an absolute IRI.";
    DEFINITION_TYPE = "definition.type.iri": "`type` of an activity definition is an absolute IRI.";
    DEFINITION_MORE_INFO = "definition.more-info.iri": "`moreInfo` of an activity definition is an absolute IRL.";
    INTERACTION_TYPE = "interaction.type": "`interactionType` is one of the ten the specification names.";
    INTERACTION_TYPE_REQUIRED = "interaction.type.required": "A definition with interaction properties has `interactionType`.";
    INTERACTION_COMPONENTS = "interaction.components": "A component list stands only beside the `interactionType` it belongs to.";
    COMPONENT_ID = "interaction.component.id.distinct": "The ids within one component list are distinct.";
    STATEMENT_REF_OBJECT_TYPE = "statement-ref.object-type": "`objectType` of a reference to a statement is `StatementRef`.";
    STATEMENT_REF_ID = "statement-ref.id.uuid": "The `id` of a StatementRef is a UUID in its standard form.";
    SUB_STATEMENT_NESTED = "sub-statement.nested": "The object of a SubStatement is not a SubStatement.";
    SUB_STATEMENT_PROPERTY = "sub-statement.property": "A SubStatement has no `id`, `stored`, `version` or `authority`.";

    SCORE_SCALED = "score.scaled.range": "`scaled` lies between -1 and 1.";
    SCORE_RAW = "score.raw.range": "`raw` lies between `min` and `max`.";
    SCORE_MIN_MAX = "score.min-max": "`min` is less than `max`.";
    RESULT_DURATION = "result.duration": "`duration` is an ISO 8601 duration with designators.";

    CONTEXT_REGISTRATION = "context.registration.uuid": "`registration` is a UUID in its standard form.";
    CONTEXT_LANGUAGE = "context.language": "`language` is an RFC 5646 language tag.";
    CONTEXT_REVISION = "context.revision.activity": "`revision` stands only when the object is an activity.";
    CONTEXT_PLATFORM = "context.platform.activity": "`platform` stands only when the object is an activity.";
    CONTEXT_AGENT_TYPE = "context-agent.object-type": "`objectType` in `contextAgents` is `contextAgent`.";
    CONTEXT_GROUP_TYPE = "context-group.object-type": "`objectType` in `contextGroups` is `contextGroup`.";
    RELEVANT_TYPES_EMPTY = "relevant-types.empty": "`relevantTypes` is not empty.";
    RELEVANT_TYPES_IRI = "relevant-types.iri": "The elements of `relevantTypes` are absolute IRIs.";

    ATTACHMENT_USAGE_TYPE = "attachment.usage-type.iri": "`usageType` is an absolute IRI.";
    ATTACHMENT_CONTENT_TYPE = "attachment.content-type": "`contentType` is an Internet media type of at most 256 bytes.";
    ATTACHMENT_LENGTH = "attachment.length": "`length` is a whole number of bytes.";
    ATTACHMENT_SHA2 = "attachment.sha2": "`sha2` is a SHA-2 in hexadecimal digits (56, 64, 96 or 128 of them).";
    ATTACHMENT_FILE_URL = "attachment.file-url.iri": "`fileUrl` is an absolute IRL.";
    ATTACHMENT_SIGNATURE = "attachment.signature.content-type": "A signature has the content type `application/octet-stream`.";

    DOCUMENT_OBJECT = "document.object": "A document that is merged is a JSON object.";

    QUERY_UNKNOWN = "query.unknown": "A query has only the parameters its resource knows, in that case.";
    QUERY_TWICE = "query.twice": "A query parameter is given once.";
    QUERY_MISSING = "query.missing": "A query has the parameters its resource requires.";
    QUERY_EXCLUSIVE = "query.exclusive": "Query parameters that exclude each other do not stand together.";
    QUERY_UUID = "query.uuid": "A statement id or registration in a query is a UUID in its standard form.";
    QUERY_IRI = "query.iri": "A verb or activity in a query is an absolute IRI no longer than the limit `iri_bytes`.";
    QUERY_NAME = "query.name": "A `stateId` or `profileId` is text without U+0000, not empty, no longer than the limit `iri_bytes`.";
    QUERY_TIMESTAMP = "query.timestamp": "`since` and `until` are ISO 8601 dates and times whose offset is not minus zero.";
    QUERY_BOOLEAN = "query.boolean": "A switch in a query is `true` or `false`.";
    QUERY_CHOICE = "query.choice": "`format` is `exact`, `ids` or `canonical`.";
    QUERY_LIMIT = "query.limit": "`limit` is a whole number from 0; 0 means the server's maximum.";
    QUERY_AGENT = "query.agent": "`agent` in a query is a valid agent as JSON; for statements also an identified group.";

    DOCUMENT_JSON = "document.json": "A document of type `application/json` is JSON.";
    DOCUMENT_MERGE = "document.merge": "A document is merged only when it and the stored one are of type `application/json` and hold objects.";

    MULTIPART_BOUNDARY = "multipart.boundary": "The content type is `multipart/mixed` with a boundary, and the body begins with it.";
    MULTIPART_BYTES = "multipart.bytes": "A request in parts is no larger than the limit `multipart_bytes`.";
    MULTIPART_PARTS = "multipart.parts": "A request has no more parts than the limit `multipart_parts`.";
    MULTIPART_HEADER = "multipart.header": "The headers of a part are lines of `name: value` in UTF-8, 16 KiB at most.";
    MULTIPART_TRUNCATED = "multipart.truncated": "A body in parts ends with its closing delimiter.";
    MULTIPART_STATEMENTS = "multipart.statements": "The first part holds the statements and is of type `application/json`.";
    MULTIPART_HASH = "multipart.hash": "Every other part has `X-Experience-API-Hash`, which is the `sha2` of an attachment.";
    MULTIPART_ENCODING = "multipart.encoding": "Every other part has `Content-Transfer-Encoding: binary`.";

    ATTACHMENT_MISSING = "attachment.missing": "An attachment has a `fileUrl` or comes as a part of the request.";
    ATTACHMENT_HASH = "attachment.hash": "The bytes of a part have the hash its header declares.";

    SIGNATURE_JWS = "signature.jws": "A signature is a JWS in compact form.";
    SIGNATURE_ALGORITHM = "signature.algorithm": "A signature's `alg` is RS256, RS384 or RS512.";
    SIGNATURE_CERTIFICATE = "signature.certificate": "The certificates in `x5c` are X.509, each signed by the next.";
    SIGNATURE_VALUE = "signature.value": "A signature verifies with the key of its certificate.";
    SIGNATURE_PAYLOAD = "signature.payload": "The signed statement is the statement it came with, but for attachments and what a store assigns.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_spelt_alike() {
        for (n, (id, sentence)) in ALL.iter().enumerate() {
            assert!(ALL[..n].iter().all(|(other, _)| other != id), "{id} stands twice");
            assert!(
                id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-')),
                "{id}"
            );
            assert!(id.contains('.') && sentence.ends_with('.'), "{id}: {sentence}");
        }
    }
}
