//! Texts of a printed transcript, cut where a person would cut them. Statements bring names of any length; a page does
//! not grow with them, nor does the time to set it.

use unicode_segmentation::UnicodeSegmentation;

use super::model::Transcript;

/// Letters, as a reader counts them, that a printed name or id has at most.
pub const LETTERS: usize = 300;
/// Characters that they may consist of together; ordinary writing needs one to three for each.
const CHARACTERS: usize = 2 * LETTERS;
/// Characters that are kept of a single letter: signs can be heaped on one without end.
const HEAP: usize = 16;

/// Cuts every text of the transcript that is too long to print; answers whether any was.
pub fn shorten(transcript: &mut Transcript) -> bool {
    let Transcript { enrollment_id, learner, course, .. } = transcript;
    let texts = [enrollment_id, &mut learner.user_id, &mut course.course_id, &mut course.course_version_id];
    let names = [&mut learner.name, &mut course.activity_id, &mut course.title];
    let mut is_cut = false;
    for text in texts.into_iter().chain(names.into_iter().flatten()) {
        if let Some(short) = short(text) {
            *text = short;
            is_cut = true;
        }
    }
    is_cut
}

/// The beginning of a text that is too long, with an ellipsis.
fn short(text: &str) -> Option<String> {
    // Texts without anything to cut are most, and are not looked at letter by letter.
    if text.len() <= HEAP {
        return None;
    }
    let (mut short, mut characters) = (String::new(), 0);
    for (index, letter) in text.graphemes(true).enumerate() {
        let kept = letter.chars().take(HEAP).count();
        if index == LETTERS || characters + kept > CHARACTERS {
            short.push('…');
            return Some(short);
        }
        characters += kept;
        short.extend(letter.chars().take(HEAP));
    }
    (short.len() < text.len()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["Ann", "María José Carreño Quiñones", "प्रिया शर्मा", "👩‍👩‍👧‍👦 Family", &"x".repeat(LETTERS)]
        {
            assert_eq!(short(name), None, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let cut = short(&"e\u{301}".repeat(100_000)).unwrap();
        assert_eq!(cut, format!("{}…", "e\u{301}".repeat(LETTERS)));
        let family = "👩‍👩‍👧‍👦";
        let cut = short(&family.repeat(10_000)).unwrap();
        assert!(cut.chars().count() <= CHARACTERS + 1);
        assert_eq!(cut.trim_end_matches('…').len() % family.len(), 0, "no family is torn apart");
    }

    #[test]
    fn signs_heaped_on_one_letter_are_cut_too() {
        let cut = short(&format!("e{} and more", "\u{301}".repeat(1_000_000))).unwrap();
        assert_eq!(cut, format!("e{} and more", "\u{301}".repeat(HEAP - 1)));
        assert!(short(&format!("e{}", "\u{301}".repeat(40)).repeat(1_000)).unwrap().chars().count() <= CHARACTERS + 1);
    }
}
