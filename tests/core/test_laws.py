"""Laws that hold for every source, every destination and every rule."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.people import KIND_TAGS, contact
from core.world import World, reversed_rows
from listbridge.changes import Change, What
from listbridge.consent import ConsentRules, Suppression, WithoutConsent, is_fresh
from listbridge.identity import key_of
from listbridge.model import MEMBER_STATUSES, WITHDRAWN_STATUSES, Kind, Status, Word
from listbridge.planner import UNTAG, Held, Mode, Rules, decide
from listbridge.selection import Selection, Shape, Statement

PEOPLE = [f"{name}@example.com" for name in ("ann", "bob")]
LITERAL = ("news",)
OURS = ["news", *KIND_TAGS.values()]
TIMES = st.sampled_from([None, 10.0, 20.0, 30.0])
VALUES = st.sampled_from(["", "a", "b"])
FIELDS = {"FNAME": "first_name", "LNAME": "last_name"}

WORDS = st.sampled_from(Word)
REASONS = st.sampled_from(["unsubscribed", "bounced", "complained", "erased"])
SUPPRESSIONS = st.builds(Suppression, REASONS, st.sampled_from([10.0, 20.0]))


@st.composite
def rows_of(draw, email):
    """The rows of one address: one, or twins."""
    return [
        Statement(
            contact(
                str(number),
                email,
                draw(WORDS),
                draw(TIMES),
                guest=draw(st.booleans()),
                groups=draw(st.sampled_from([(), ("vip",), ("staff",)])),
                orders_count=draw(st.integers(0, 1)),
                updated_at=draw(st.sampled_from([None, 1.0, 2.0])),
                attributes={name: value for name in FIELDS.values() if (value := draw(VALUES))},
            ),
            draw(st.integers(0, 3)),
        )
        for number in range(1, 1 + draw(st.sampled_from([1, 1, 1, 2, 3])))
    ]


@st.composite
def entries(draw, email, tag):
    status = draw(st.sampled_from([None, *Status, *sorted(MEMBER_STATUSES)]))
    if status is None:
        return Held(email, owned=draw(st.booleans()), since_seq=draw(st.integers(0, 3)))
    ours = draw(st.frozensets(st.sampled_from(OURS)))
    theirs = draw(st.frozensets(st.sampled_from([*OURS, "theirs"]))) - ours
    return Held(
        email,
        status,
        owned=draw(st.booleans()),
        taken_out=draw(st.booleans()),
        tagged=tag is not None and status in MEMBER_STATUSES and draw(st.booleans()),
        opted_in_at=draw(TIMES),
        sent=draw(st.dictionaries(st.sampled_from(list(FIELDS)), VALUES)),
        found=draw(st.dictionaries(st.sampled_from(list(FIELDS)), VALUES)),
        tags=ours,
        found_tags=theirs,
        since_seq=draw(st.integers(0, 3)),
    )


@st.composite
def worlds(draw, modes=tuple(Mode), **fixed):
    tag = draw(st.sampled_from([None, "VIP"]))
    kinds = draw(st.frozensets(st.sampled_from(Kind)))
    selection = Selection(
        draw(st.booleans()), kinds, draw(st.sampled_from([frozenset(), frozenset({"vip"})]))
    )
    kept_up = {kind: KIND_TAGS[kind] for kind in selection.tagged_kinds} if draw(st.booleans()) else {}
    removals = ["archive", "delete", "unsubscribe"] if tag is None else [UNTAG, "archive"]
    by = Rules(
        mode=draw(st.sampled_from(modes)),
        consent=draw(
            st.builds(
                ConsentRules, st.booleans(), st.booleans(), st.sampled_from(WithoutConsent), st.booleans()
            )
        ),
        tag=tag,
        kind_tags=frozenset(kept_up.values()),
        removal=draw(st.sampled_from(removals)),
        remove_departed=draw(st.booleans()),
        restore_deleted=draw(st.booleans()),
        pending=draw(st.booleans()),
    )
    at_source = draw(st.sets(st.sampled_from(PEOPLE)))
    there = draw(st.sets(st.sampled_from(PEOPLE)))
    return World(
        replace(by, **fixed),
        Shape(selection, FIELDS, LITERAL if draw(st.booleans()) else (), kept_up),
        {email: draw(rows_of(email)) for email in sorted(at_source)},
        {email: draw(entries(email, tag)) for email in sorted(there)},
        draw(st.dictionaries(st.sampled_from(PEOPLE), SUPPRESSIONS, max_size=2)),
    )


def after(world):
    """(plan, ledger before, people outside before); the plan is applied to the world."""
    plan, before, outside = world.plan(), dict(world.ledger), world.outside()
    world.apply(plan)
    return plan, before, outside


def status_in(ledger, email):
    return ledger[email].status if email in ledger else None


def opted_out(plan):
    return {email for email, change in plan.items() if change.reason == "source_optout"}


MANY = settings(max_examples=50, deadline=None)


@MANY
@given(worlds())
def test_an_applied_plan_leaves_nothing_to_plan(world):
    after(world)
    assert world.plan() == {}


@MANY
@given(worlds())
def test_a_plan_that_broke_off_anywhere_ends_in_the_same_place(world):
    plan = world.plan()
    twin = World(world.rules, world.shape, world.source, dict(world.ledger), dict(world.suppressions))
    twin.apply(dict(list(plan.items())[: len(plan) // 2]))
    twin.apply(twin.plan())
    world.apply(plan)
    assert (twin.ledger, twin.suppressions) == (world.ledger, world.suppressions)


@MANY
@given(worlds())
def test_the_order_of_twin_rows_is_of_no_account(world):
    other = World(world.rules, world.shape, reversed_rows(world.source), world.ledger, world.suppressions)
    assert other.plan() == world.plan()


@MANY
@given(worlds())
def test_no_status_held_against_a_person_is_ever_raised(world):
    barred = dict(world.suppressions)
    plan, before, outside = after(world)
    for email in outside & plan.keys() - opted_out(plan):
        change, wanted = plan[email], world.wanted(email)
        assert (change.reason, change.status) == ("fresh_consent", Status.PENDING)
        assert is_fresh(wanted.word, wanted.consent_at, barred[email])
        assert status_in(before, email) not in (Status.BOUNCED, Status.COMPLAINED)
        assert world.rules.pending


@MANY
@given(worlds())
def test_a_suppressed_person_is_neither_tagged_nor_removed(world):
    plan, _, outside = after(world)
    for email in outside - {email for email in plan if plan[email].reason == "fresh_consent"}:
        change = plan.get(email)
        assert change is None or (change.status, change.fields, change.tags_added) == (
            Status.UNSUBSCRIBED,
            {},
            (),
        )


@MANY
@given(worlds())
def test_an_existing_status_rises_from_transactional_by_a_seen_consent_and_else_only_falls(world):
    plan, before, _ = after(world)
    for email, change in plan.items():
        status = status_in(before, email)
        if change.status is None or status not in MEMBER_STATUSES:
            continue
        if change.status is Status.UNSUBSCRIBED:
            assert world.wanted(email).word is Word.DENIED
            assert status is not Status.TRANSACTIONAL
            assert world.rules.consent.unsubscribe_on_optout
        else:
            assert status is Status.TRANSACTIONAL
            assert world.wanted(email).word is Word.GRANTED
            assert world.wanted(email).consent_seq > before[email].since_seq


@MANY
@given(worlds())
def test_a_refusal_reaches_everybody_delivered(world):
    assume(world.rules.mode is not Mode.SUBTRACT and world.rules.consent.unsubscribe_on_optout)
    after(world)
    for email, held in world.ledger.items():
        wanted = world.wanted(email)
        if wanted is not None and wanted.word is Word.DENIED and held.owned:
            assert held.status not in (Status.SUBSCRIBED, Status.PENDING)


@MANY
@given(worlds())
def test_people_who_refused_are_never_created(world):
    members = world.members()
    plan, _, _ = after(world)
    denied = {email for email in world.source if world.wanted(email).word is Word.DENIED}
    assert not any(plan[email].what is What.CREATE for email in denied & plan.keys())
    assert denied & world.members() <= members


@MANY
@given(worlds())
def test_nobody_is_mailed_who_has_not_agreed_unless_the_operator_says_so(world):
    plan, _, _ = after(world)
    allowed = {Word.GRANTED} | ({Word.UNKNOWN} if world.rules.consent.always_opt_in else set())
    for email, change in plan.items():
        if change.status in (Status.SUBSCRIBED, Status.PENDING) and world.wanted(email).word not in allowed:
            assert world.rules.consent.without_consent is WithoutConsent.SUBSCRIBE
            assert change.reason == "without_consent"
        if change.status is Status.SUBSCRIBED:
            assert not world.rules.consent.double_opt_in


@MANY
@given(worlds([Mode.MERGE]))
def test_merge_removes_nobody_but_departed_people_of_its_own(world):
    members, selected = world.members(), world.selected()
    plan, before, outside = after(world)
    lost = members - world.members()
    if not world.rules.remove_departed:
        assert not any(change.what is What.REMOVE for change in plan.values())
        assert lost == opted_out(plan) & members
    for email in lost - opted_out(plan):
        assert before[email].owned
        assert email not in selected | outside


def can_be_there(world, email, held, was_member):
    """Whether somebody who is selected may be in the audience: said a second time, from the rules."""
    word, by = world.wanted(email).word, world.rules
    if was_member:
        return True
    if word is Word.DENIED:
        return False
    if held is not None and held.status in MEMBER_STATUSES:
        return True
    if held is not None and held.status in (Status.ARCHIVED, Status.ABSENT):
        ours = held.taken_out and by.removal != UNTAG
        if not (ours or by.restore_deleted):
            return False
    agreed = word is Word.GRANTED or (word is Word.UNKNOWN and by.consent.always_opt_in)
    return agreed or by.consent.without_consent is not WithoutConsent.SKIP


@MANY
@given(worlds([Mode.EXACT, Mode.MERGE]))
def test_exact_and_merge_end_in_the_set_that_the_mode_names(world):
    """exact: S; merge: D ∪ S; both less suppressed people and those who cannot be created."""
    members, selected = world.members(), world.selected()
    plan, before, outside = after(world)
    outside |= opted_out(plan)
    due = {one for one in selected if can_be_there(world, one, before.get(one), one in members)}
    if world.rules.mode is Mode.MERGE:
        stay = {one for one in members if not (world.rules.remove_departed and before[one].owned)}
        due |= stay
    assert world.members() - outside == due - outside


@MANY
@given(worlds([Mode.SUBTRACT]))
def test_subtract_ends_in_the_members_less_the_selection_and_touches_nobody_who_stays(world):
    members, selected = world.members(), world.selected()
    plan, before, outside = after(world)
    assert world.members() == members - (selected - outside)
    assert all(change.what is What.REMOVE for change in plan.values())
    for email in world.ledger.keys() - plan.keys():
        assert world.ledger[email] is before[email]


@MANY
@given(worlds())
def test_tags_of_others_are_never_touched(world):
    plan, before, _ = after(world)
    own = {world.rules.tag} if world.rules.tag else set()
    for email, change in plan.items():
        ours = before[email].tags if email in before else frozenset()
        assert set(change.tags_removed) <= (ours & world.rules.kind_tags) | own
        assert set(change.tags_added) <= set(world.wanted(email).tags) | own if change.tags_added else True
        if change.what is What.UPDATE and email in before:
            assert not set(change.tags_added) & (before[email].found_tags - own)


@MANY
@given(worlds([Mode.MERGE]), st.sampled_from(Kind))
def test_unticking_a_kind_takes_nobody_out_and_no_tag_off(world, kind):
    """«Unticking one affects the future alone: nothing is removed, no tag is taken off.»"""
    assume(not world.rules.remove_departed)
    after(world)
    chosen, kind_tags = world.shape.selection, dict(world.shape.kind_tags)
    kind_tags.pop(kind, None)
    world.shape = replace(
        world.shape,
        selection=replace(chosen, everyone=False, kinds=chosen.kinds - {kind}),
        kind_tags=kind_tags,
    )
    world.rules = replace(world.rules, kind_tags=frozenset(kind_tags.values()))
    assert not [
        change for change in world.plan().values() if change.what is What.REMOVE or change.tags_removed
    ]


@MANY
@given(worlds())
def test_of_guests_without_consent_only_first_names_travel(world):
    plan, _, _ = after(world)
    for email, change in plan.items():
        rows = world.source.get(email, [])
        if rows and all(row.contact.guest for row in rows) and world.wanted(email).word is not Word.GRANTED:
            assert change.fields.keys() <= {"FNAME"}


@MANY
@given(worlds())
def test_a_value_is_emptied_only_if_we_had_sent_one(world):
    plan, before, _ = after(world)
    for email, change in plan.items():
        for name, value in change.fields.items():
            assert value or before[email].sent[name]


@MANY
@given(worlds(), st.sampled_from(PEOPLE))
def test_always_opt_in_leaves_refusals_and_open_questions_alone(world, email):
    """Rule 4: «`denied` and `pending` keep their meaning, and an existing status never changes.»"""
    assume(email in world.source)
    said = world.wanted(email).word
    there = status_in(world.ledger, email) in MEMBER_STATUSES
    assume(said in (Word.DENIED, Word.PENDING) or there)
    answers = []
    for always in (False, True):
        consent = replace(world.rules.consent, always_opt_in=always)
        world.rules = replace(world.rules, consent=consent)
        answers.append(world.decide(email))
    assert answers[0] == answers[1]


@MANY
@given(worlds())
def test_a_person_decided_about_and_never_there_is_like_a_stranger(world):
    for email in PEOPLE:
        wanted, barred = world.wanted(email), world.suppressions.get(email)
        known = decide(wanted, Held(email, since_seq=3), barred, world.rules, key=key_of(email))
        assert known == decide(wanted, None, barred, world.rules, key=key_of(email))


@MANY
@given(worlds([Mode.EXACT, Mode.MERGE]), st.data())
def test_a_rename_keeps_the_law(world, data):
    """A changed address is the same person: what would be decided about the old entry is decided about the new."""
    former = data.draw(entries("former@example.com", world.rules.tag))
    assume(former.listed and (world.rules.tag is None or former.tagged))
    for email in world.source:
        wanted, key = world.wanted(email), key_of(email)
        renamed = decide(wanted, None, None, world.rules, key=key, moved_from=former)
        same = decide(wanted, replace(former, email=email), None, world.rules, key=key)
        if isinstance(renamed, Change):
            assert renamed.email_before == former.email
            assert renamed.email == email
            status = same.status if isinstance(same, Change) else None
            assert renamed.status is status
        else:
            assert not wanted.taken
            assert not (isinstance(same, Change) and same.status is not None)


@MANY
@given(worlds())
def test_removals_need_a_member_and_withdrawn_people_are_none(world):
    members = world.members()
    plan, before, outside = after(world)
    for email, change in plan.items():
        if change.what is What.REMOVE:
            assert email in members - outside
            assert before[email].status not in WITHDRAWN_STATUSES
