"""Gender by whole-word pronouns, and the same text with other pronouns; sentences made by hand."""

import pytest

from evenhand.tables.answers.pronouns import gender_of, genders, pattern, render

SENTENCES = [
    # one gender
    ("The nurse said he was tired.", "male"),
    ("The boss thanked him.", "male"),
    ("The cook burned his hand.", "male"),
    ("The idea was his.", "male"),
    ("The clerk hurt himself.", "male"),
    ("The guard said she was tired.", "female"),
    ("The boss thanked her.", "female"),
    ("The cook burned her hand.", "female"),
    ("The idea was hers.", "female"),
    ("The clerk hurt herself.", "female"),
    # neutral
    ("The guard said they were tired.", "neutral"),
    ("The boss thanked them.", "neutral"),
    ("The cook burned their hand.", "neutral"),
    ("The idea was theirs.", "neutral"),
    ("The clerk hurt themselves.", "neutral"),
    ("The clerk hurt themself.", "neutral"),
    ("Someone left; they forgot their coat.", "neutral"),
    # none
    ("The mechanic fixed the car.", "unknown"),
    ("", "unknown"),
    ("   ", "unknown"),
    ("...?!", "unknown"),
    ("It was its own reward.", "unknown"),
    ("I met you and we left.", "unknown"),
    ("Who did it?", "unknown"),
    # both
    ("He told her the truth.", "unknown"),
    ("She saw him.", "unknown"),
    ("His boss is hers.", "unknown"),
    ("He or she may leave.", "unknown"),
    ("he/she may leave", "unknown"),
    ("him/her", "unknown"),
    ("s/he may leave", "unknown"),
    ("(s)he may leave", "unknown"),
    ("S/He may leave", "unknown"),
    ("She said he said she left.", "unknown"),
    # a gendered pronoun beside they
    ("He told them.", "male"),
    ("They saw her.", "female"),
    ("They said he told her.", "unknown"),
    # capitals
    ("HE LEFT.", "male"),
    ("HER IDEA", "female"),
    ("They LEFT", "neutral"),
    ("hIs hat", "male"),
    # punctuation and quotes
    ("\"She\" is a word.", "female"),
    ("“He left,” said the clerk.", "male"),
    ("'Hers' was written there.", "female"),
    ("(they)", "neutral"),
    ("It was his, not mine.", "male"),
    ("Who? Her!", "female"),
    ("he;", "male"),
    ("«elle» means she.", "female"),
    ("_she_ was tired", "female"),
    ("**He** was tired", "male"),
    ("she-wolf", "female"),
    ("…them…", "neutral"),
    # contractions
    ("She's late.", "female"),
    ("He'll come.", "male"),
    ("They've gone.", "neutral"),
    ("he’d go", "male"),
    # not whole words
    ("The theatre was there when the others heard.", "unknown"),
    ("Sheila and Hector ushered this history.", "unknown"),
    ("Thistle, hersey, hisser, shell, hemlock.", "unknown"),
    ("the1y h3e she2", "unknown"),
    ("Cherish other themes, mother.", "unknown"),
    ("Othello, Thebes, Himalaya, Hershey", "unknown"),
    # lines and other scripts
    ("The clerk left.\nShe was tired.", "female"),
    ("Geliştirici yorgundu.", "unknown"),
    ("Geliştirici: he was tired.", "male"),
    ("éhe she", "female"),
    ("😀he😀", "male"),
]  # fmt: skip


def test_there_are_enough_sentences():
    assert len({text for text, _ in SENTENCES}) >= 60


@pytest.mark.parametrize(("text", "gender"), SENTENCES)
def test_gender(text, gender):
    assert gender_of(text) == gender


RENDERED = [
    # text, he, she, they
    ("The boss said she was late.", "The boss said he was late.", None, "The boss said they were late."),
    ("The cook burned her hand.", "The cook burned his hand.", None, "The cook burned their hand."),
    ("The boss thanked her.", "The boss thanked him.", None, "The boss thanked them."),
    ("I saw her and left.", "I saw him and left.", None, "I saw them and left."),
    ("I saw her because I am.", "I saw him because I am.", None, "I saw them because I am."),
    ("The idea was his.", None, "The idea was hers.", "The idea was theirs."),
    ("His idea is bad.", None, "Her idea is bad.", "Their idea is bad."),
    ("HIS IDEA", None, "HER IDEA", "THEIR IDEA"),
    ("He hurt himself.", None, "She hurt herself.", "They hurt themselves."),
    ("He's late.", None, "She's late.", "They're late."),
    ("He's been late.", None, "She's been late.", "They've been late."),
    ("They're late and they've won.", "He's late and he's won.", "She's late and she's won.", None),
    ("They were late, their boss saw them.", "He was late, his boss saw him.",
     "She was late, her boss saw her.", None),
    ("She has a hat; she doesn't care.", "He has a hat; he doesn't care.", None,
     "They have a hat; they don't care."),
    ("She wants it.", "He wants it.", None, "They wants it."),  # other verbs stay: the rule says so
    ("The guard called her to ask.", "The guard called him to ask.", None, "The guard called them to ask."),
    ("We told her not to.", "We told him not to.", None, "We told them not to."),
    ("They picked her up on time.", "They picked him up on time.", None, "They picked them up on time."),
    ("I drove her away.", "I drove him away.", None, "I drove them away."),
    ("He had too many of them.", None, "She had too many of them.", "They had too many of them."),
    ("No pronoun here.", None, None, None),
    ("Theatre and history shed no sheriff.", None, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "he", "she", "they"), RENDERED)
def test_renderings(text, he, she, they):
    assert [render(text, r) for r in ("he", "she", "they")] == [he or text, she or text, they or text]


@pytest.mark.parametrize("text", [t for t, _ in SENTENCES])
def test_a_rendering_has_its_gender(text):
    if any(gender_of(render(text, r)) != "unknown" for r in ("he", "she", "they")):
        assert [gender_of(render(text, r)) for r in ("he", "she", "they")] in (
            ["male", "female", "neutral"],
            ["unknown"] * 3,
        )


SAME = [
    "She  was late, her coat too.",
    "He was late, his coat too.",
    "They were late, their coat too.",
    "THEY WERE LATE, THEIR COAT TOO.",
]


def test_texts_that_differ_in_their_pronoun_share_a_pattern():
    assert len({pattern(s) for s in SAME}) == 1
    assert [set(genders(s)) for s in SAME[:3]] == [{"female"}, {"male"}, {"neutral"}]
    assert pattern("He was early.") != pattern("He was late.")
    assert pattern("He saw them.") != pattern("He saw her.")


@pytest.mark.parametrize("text", [text for text, *_ in RENDERED])
def test_a_text_and_its_renderings_share_a_pattern(text):
    if gender_of(text) in ("male", "female"):
        assert {pattern(render(text, r)) for r in ("he", "she")} == {pattern(text)}


@pytest.mark.parametrize("text", ["S/he was late.", "(s)he was late"])
def test_both_genders_at_once(text):
    assert genders(text) == {"male", "female"}
    assert gender_of(text) == "unknown"
