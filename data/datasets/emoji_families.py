"""Families of emoji: variants of one idea, which must not straddle train and test.

The rule reads code points, not Unicode names: names change with the version of Python.
"""

MAN, WOMAN, ADULT, BOY, GIRL, CHILD = 0x1F468, 0x1F469, 0x1F9D1, 0x1F466, 0x1F467, 0x1F9D2
_JOINER, _KEYCAP = 0x200D, 0x20E3
_PEOPLE = frozenset([MAN, WOMAN, ADULT, BOY, GIRL, CHILD])
_GENDER, _RIGHTWARDS = frozenset([0x2640, 0x2642]), 0x27A1
_HAIR = frozenset(range(0x1F9B0, 0x1F9B4))
_TOGETHER = frozenset([0x2764, 0x1F48B, 0x1F91D])  # heart, kiss, handshake between people


def _code_points(text: str) -> frozenset[int]:
    """`1f550-1f567 2764`: ranges and single code points."""
    found: set[int] = set()
    for word in text.split():
        first, _, last = word.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(found)


# Ideas that Unicode gives several code points of their own.
_TABLE = {
    name: _code_points(text)
    for name, text in {
        "person": "1f464-1f469 1f471 1f474-1f476 1f9b0-1f9b3 1f9d1-1f9d4 1f5e3 1fac2",
        "family": "1f46a-1f46d 1f48f 1f491",
        "royal": "1f478 1f934 1fac5",
        "pregnant": "1f930 1fac3 1fac4",
        "wedding": "1f470 1f935",
        "santa": "1f385 1f936",
        "dancer": "1f483 1f57a",
        "bicyclist": "1f6b4 1f6b5",
        "bed": "1f6cc 1f6cf",
        "bath": "1f6c0 1f6c1",
        "letters": "1f1e6-1f1ff",
        "letter buttons": "1f170 1f171 1f17e 1f17f 1f18e 1f191-1f19a 24c2 1f51e",
        "ideograph buttons": "1f201 1f202 1f21a 1f22f 1f232-1f23a 1f250 1f251 3297 3299",
        "input buttons": "1f520-1f524",
        "keycaps": "1f51f",
        "clocks": "1f550-1f567",
        "moon faces": "1f319-1f31d",
        "suns": "1f31e 2600",
        "globes": "1f30d-1f310",
        "sun and clouds": "1f324-1f328 1f329 2601 26c5 26c8",
        "sunrises": "1f304 1f305 1f307",
        "cities": "1f303 1f306 1f3d9 1f309",
        "mountains": "1f3d4 26f0 1f5fb",
        "umbrellas": "1f302 2602 2614 26f1",
        "snowmen": "2603 26c4",
        "stars": "2b50 1f31f",
        "trees": "1f332 1f333",
        "apples": "1f34e 1f34f",
        "cherry blossoms": "1f338 1f4ae 1f33a 1f33c",
        "roses": "1f339 1f940",
        "ears of grain": "1f33e 1f33f",
        "plates": "1f374 1f37d",
        "beers": "1f37a 1f37b",
        "bowls of food": "1f372 1f963 1f35c 1f957",
        "music": "1f3b5 1f3b6 1f3bc",
        "microphones": "1f399 1f3a4",
        "tickets": "1f39f 1f3ab",
        "cameras": "1f4f7 1f4f8",
        "film cameras": "1f3a5 1f4f9 1f4fd",
        "medals": "1f947-1f949 1f3c5 1f396",
        "flags on poles": "1f3c1 1f3f3 1f3f4 1f6a9 1f38c",
        "rackets": "1f3be 1f3f8",
        "baseballs": "26be 1f94e",
        "footballs": "1f3c8 1f3c9",
        "houses": "1f3e0 1f3e1 1f3d8 1f3da",
        "buildings": "1f3e2 1f3e3 1f3e4 1f3e5 1f3e6 1f3e8 1f3e9 1f3ea 1f3eb 1f3ec",
        "hats": "1f3a9 1f452",
        "mice": "1f400 1f401 1f42d 1f439",
        "cattle": "1f402-1f404 1f42e",
        "big cats": "1f405 1f406 1f42f",
        "rabbits": "1f407 1f430",
        "cats": "1f408 1f431",
        "dogs": "1f415 1f429 1f436 1f9ae",
        "dragons": "1f409 1f432",
        "whales": "1f40b 1f433 1facd",
        "horses": "1f40e 1f434 1facf",
        "deer": "1f98c 1face",
        "arms": "1f4aa 1f9be",
        "legs": "1f9b5 1f9b6 1f9bf",
        "castles": "1f3ef 1f3f0",
        "sheep": "1f40f 1f411",
        "monkeys": "1f412 1f435 1f648-1f64a",
        "pigs": "1f416 1f437 1f43d",
        "chicks": "1f423-1f425",
        "chickens": "1f413 1f414",
        "fish": "1f41f 1f420",
        "camels": "1f42a 1f42b",
        "bears": "1f43b 1f43c 1f428",
        "eyes": "1f440 1f441",
        "ears": "1f442 1f9bb",
        "pointing hands": "1f446-1f449 261d 1faf5",
        "thumbs": "1f44d 1f44e",
        "fists": "1f44a 270a 1f91b 1f91c",
        "raised hands": "1f44b 270b 1f590 1f91a 1f596 1faf1-1faf4 1faf7 1faf8",
        "open hands": "1f450 1f932 1f64c 1f44f",
        "finger signs": "270c 1f91e 1f918 1f91f 1f919",
        "pinching hands": "1f90c 1f90f 1faf0",
        "glasses": "1f453 1f576",
        "shoes": "1f45e 1f45f 1f97e 1f97f",
        "sandals": "1f460 1f461",
        "shirts": "1f455 1f3bd",
        "bags": "1f45b-1f45d",
        "swimwear": "1f459 1fa71 1fa72",
        "demon faces": "1f47f 1f608",
        "ogres": "1f479 1f47a",
        "skulls": "1f480 2620",
        "hearts": "1f493-1f49f 1f5a4 1f90d 1f90e 1f9e1 1fa75-1fa77 2763 2764 2665",
        "card suits": "2660 2663 2666",
        "bubbles": "1f4ac 1f4ad 1f5e8 1f5ef",
        "collisions": "1f4a5 1f4a2",
        "drops": "1f4a6 1f4a7 1fa78",
        "banknotes": "1f4b4-1f4b8",
        "currency": "1f4b1 1f4b2",
        "discs": "1f4bd 1f4bf 1f4c0",
        "computers": "1f4bb 1f5a5",
        "folders": "1f4c1 1f4c2 1f5c2",
        "pages": "1f4c3 1f4c4 1f4d1 1f4dd",
        "calendars": "1f4c5 1f4c6 1f5d3 1f5d2",
        "charts": "1f4c8 1f4c9 1f4ca 1f4b9",
        "pushpins": "1f4cc 1f4cd",
        "paperclips": "1f4ce 1f587",
        "rulers": "1f4cf 1f4d0",
        "books": "1f4d2-1f4da",
        "telephones": "1f4de 260e",
        "loudspeakers": "1f4e2 1f4e3",
        "trays": "1f4e4 1f4e5",
        "envelopes": "1f4e7-1f4e9 2709 1f48c",
        "mailboxes": "1f4ea-1f4ee",
        "newspapers": "1f4f0 1f5de",
        "mobile phones": "1f4f1-1f4f5",
        "repeat buttons": "1f500-1f504",
        "brightness": "1f505 1f506",
        "speakers": "1f507-1f50a",
        "batteries": "1f50b 1faab",
        "magnifiers": "1f50d 1f50e",
        "locks": "1f50f 1f510 1f512 1f513",
        "keys": "1f511 1f5dd",
        "bells": "1f514 1f515 1f6ce",
        "word arrows": "1f519-1f51d",
        "hammers": "1f528 2692 26cf 1f6e0",
        "blades": "1f52a 1f5e1 2694",
        "six-pointed stars": "1f52f 2721",
        # OpenMoji's new moon is its black circle, and its full moon the yellow one.
        "circles and moons": "1f311-1f318 1f534 1f535 1f7e0-1f7e4 26aa 26ab 2b55 1f518",
        "squares": "1f532 1f533 1f7e5-1f7eb 2b1b 2b1c 25aa 25ab 25fb-25fe",
        "diamonds": "1f536-1f539 1f4a0",
        "triangles": "1f53a 1f53b",
        "play controls": "1f53c 1f53d 23e9-23ef 23f8-23fa 25b6 25c0 23cf 1f3a6",
        "arrows": "2194-2199 21a9 21aa 2934 2935 27a1 2b05-2b07",
        "watches": "231a 23f1 23f2 23f0 1f570",
        "hourglasses": "231b 23f3",
        "pens": "1f58a-1f58d 270f 2712 270d",
        "mouse devices": "1f5b1 1f5b2",
        "files": "1f5c3 1f5c4",
        "zodiac": "2648-2653 26ce",
        "exclamation and question marks": "203c 2049 2753-2755 2757",
        "arithmetic": "2716 2795-2797 1f7f0",
        "check marks": "2705 2714 2611",
        "crosses": "274c 274e",
        "asterisks": "2733 2734 2747",
        "loops": "27b0 27bf",
        "copyright": "a9 ae 2122",
        "faith crosses": "2626 271d",
        "genders": "2640 2642 26a7 1f6b9 1f6ba 1f6bb",
        "wheelchairs": "1f9bc 1f9bd 267f",
        "trains": "1f682-1f688 1f68a 1f68b 1f69d 1f69e 1f689",
        "cable cars": "1f69f-1f6a1",
        "buses": "1f68c-1f68e 1f690",
        "police cars": "1f693 1f694",
        "cars": "1f695-1f699 1f6fb",
        "trucks": "1f69a 1f69b",
        "ships": "1f6a2 1f6f3 26f4 1f6a4 1f6e5 26f5",
        "rowing boats": "1f6a3 1f6f6",
        "aeroplanes": "2708 1f6e9 1f6eb 1f6ec",
        "motorcycles": "1f3cd 1f6f5",
        "traffic lights": "1f6a5 1f6a6",
        "forbidden": "1f6ab 26d4 1f6ad 1f6af 1f6b1 1f6b3 1f6b7 1f6ac",
        "litter": "1f6ae 1f6b0",
        "luggage desk": "1f6c2-1f6c5",
        "shopping": "1f6cd 1f6d2",
        "laughing faces": "1f600-1f606 1f923 1f602",
        "smiling faces": "263a 1f60a 1f642 1f643 1f60c",
        "frowning faces": "2639 1f641 1f61e 1f61f 1f626 1f627",
        "kissing faces": "1f617-1f61a",
        "tongue faces": "1f60b 1f61b-1f61d 1f92a",
        "plain faces": "1f610 1f611 1f636 1fae5",
        "angry faces": "1f620 1f621 1f92c 1f624",
        "open-mouthed faces": "1f62e-1f632",
        "tired faces": "1f629 1f62b 1f616 1f623",
        "crying faces": "1f622 1f62d 1f625 1f613",
        "dizzy faces": "1f635",
        "cat faces": "1f638-1f640",
        "sick faces": "1f922 1f92e",
        "hand on mouth faces": "1f92d 1fae2 1fae3",
        "pleading faces": "1f97a 1f979 1f972",
        "nests": "1fab9 1faba",
        "bread": "1f35e 1f956",
        "ice creams": "1f366 1f368",
        "cakes": "1f370 1f382",
        "citrus": "1f34a 1f34b",
        "christmas trees": "1f384 1f38b",
        "hair care": "1f486 1f487",
        "crossing": "1f6b8",
        "post horns": "1f4ef 1f3ba",
        "crowd": "1f46f 1f93c",
        "deciduous leaves": "1f341-1f343",
        "shamrocks": "2618 1f340",
        "religious buildings": "26ea 1f492",
    }.items()
}
_IDEA = {code: name for name, codes in _TABLE.items() for code in codes}


def family(code_points: tuple[int, ...]) -> str:
    """The family of an emoji given as code points without fe0f, e.g. `(0x1F3C3, 0x200D, 0x2640)` -> `1f3c3`.

    * Gender, hair and direction are taken off: a woman running to the right is a runner.
    * People joined with an object are its profession; joined with people, hearts or hands they are a family.
    * Any other joined sequence is a variant of its first picture: a black cat is a cat.
    * The table names ideas that have several code points: clock times, colours of hearts, moon phases.
    """
    if code_points[-1] == _KEYCAP:
        return "keycaps"
    if len(code_points) == 2 and all(0x1F1E6 <= code <= 0x1F1FF for code in code_points):
        return "-".join(f"{code:x}" for code in code_points)  # flags of countries: each its own
    parts = [code for code in code_points if code != _JOINER]
    kept = [code for code in parts[1:] if code not in _GENDER | _HAIR and code != _RIGHTWARDS]
    if parts[0] in _PEOPLE and kept:
        if all(code in _PEOPLE | _TOGETHER for code in kept):
            return "family"
        return f"profession {kept[0]:x}"
    return _IDEA.get(parts[0], f"{parts[0]:x}")
