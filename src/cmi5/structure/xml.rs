//! XML as a tree of the elements of one namespace. What stands in other namespaces is passed over, as vendors' additions are;
//! a document type is refused, so that no entity is expanded and nothing outside is read.

use quick_xml::{
    NsReader,
    events::{BytesStart, Event},
    name::ResolveResult,
};

/// Deeper than any course.
const DEEPEST: usize = 64;

/// An element, with what stands in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub name: String,
    /// Those without a prefix.
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Self>,
    pub text: String,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim())
    }
}

/// The root of a document, whose elements are those of `namespace`.
pub(super) fn parse(text: &str, namespace: &str) -> Result<Element, String> {
    let mut reader = NsReader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let (resolved, event) = reader.read_resolved_event().map_err(|error| format!("it is no XML: {error}"))?;
        let is_ours = matches!(resolved, ResolveResult::Bound(bound) if bound.as_ref() == namespace.as_bytes());
        match event {
            Event::Start(start) if is_ours => {
                open.push(element(&start)?);
                if open.len() > DEEPEST {
                    return Err(format!("elements are nested more than {DEEPEST} deep"));
                }
            }
            Event::Empty(start) if is_ours => close(&mut open, &mut root, element(&start)?)?,
            Event::Start(start) => {
                let end = start.to_end().into_owned();
                reader.read_to_end(end.name()).map_err(|error| format!("it is no XML: {error}"))?;
            }
            Event::End(_) => {
                let ended = open.pop().ok_or("it is no XML: an element ends that has not begun")?;
                close(&mut open, &mut root, ended)?;
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| format!("it is no XML in UTF-8: {error}"))?;
                add(&mut open, &text);
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|error| format!("it is no XML in UTF-8: {error}"))?;
                add(&mut open, &text);
            }
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|error| format!("it is no XML in UTF-8: {error}"))?;
                let escaped = format!("&{name};");
                let text = quick_xml::escape::unescape(&escaped).map_err(|error| format!("it is no XML: {error}"))?;
                add(&mut open, &text);
            }
            Event::DocType(_) => return Err("a document type is not taken".to_owned()),
            Event::Eof if open.is_empty() => return root.ok_or_else(|| format!("it has no element of {namespace}")),
            Event::Eof => return Err("it ends in the middle of an element".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "it is no XML in UTF-8".to_owned());
    let mut element = Element { name: utf8(start.local_name().as_ref())?, ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("it is no XML: {error}"))?;
        if attribute.key.prefix().is_none() && attribute.key.as_namespace_binding().is_none() {
            let raw = utf8(&attribute.value)?;
            let value = quick_xml::escape::unescape(&raw).map_err(|error| format!("it is no XML: {error}"))?;
            element.attributes.push((utf8(attribute.key.as_ref())?, value.into_owned()));
        }
    }
    Ok(element)
}

fn close(open: &mut [Element], root: &mut Option<Element>, ended: Element) -> Result<(), String> {
    match open.last_mut() {
        Some(parent) => parent.children.push(ended),
        None if root.is_none() => *root = Some(ended),
        None => return Err("it has two roots".to_owned()),
    }
    Ok(())
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}
