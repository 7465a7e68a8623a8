/// Simple facts, as question and answer.
enum Facts {
  static func conversation(_ dice: inout Dice) -> Conversation {
    switch dice.roll(1...10) {
    case 1, 2: capital(&dice)
    case 3: opposite(&dice)
    case 4: legs(&dice)
    case 5: sound(&dice)
    case 6: kind(&dice)
    case 7: look(&dice)
    case 8: next(&dice)
    case 9: measure(&dice)
    default: trade(&dice)
    }
  }

  private static func capital(_ dice: inout Dice) -> Conversation {
    let (country, city) = dice.pick(World.capitals)
    return dice.pick([
      Conversation("What is the capital of \(country)?", "The capital of \(country) is \(city)."),
      Conversation("Which country has the capital \(city)?", "\(city) is the capital of \(country)."),
      Conversation("Where is \(city)?", "\(city) is in \(country)."),
    ])
  }

  private static func opposite(_ dice: inout Dice) -> Conversation {
    let (a, b) = dice.pick(World.opposites)
    let (x, y) = dice.oneIn(2) ? (a, b) : (b, a)
    return Conversation(dice.pick(["What is the opposite of \(x)?", "Tell me the opposite of \(x)."]), "The opposite of \(x) is \(y).")
  }

  private static func legs(_ dice: inout Dice) -> Conversation {
    let (animal, count) = dice.pick(World.legs)
    return Conversation("How many legs does a \(animal) have?", "A \(animal) has \(count) legs.")
  }

  private static func sound(_ dice: inout Dice) -> Conversation {
    let (animal, sound) = dice.pick(World.sounds)
    return Conversation("What sound does a \(animal) make?", "A \(animal) \(sound).")
  }

  private static func kind(_ dice: inout Dice) -> Conversation {
    let (kind, members) = dice.pick(World.kinds)
    let article = kind == "animal" ? "an" : "a"
    if dice.oneIn(2) {
      let member = dice.pick(members)
      return Conversation("What is \(member)?", "\(member.prefix(1).uppercased() + member.dropFirst()) is \(article) \(kind).")
    }
    let three = dice.pick(3, of: members)
    let list = "\(three[0]), \(three[1]) and \(three[2])"
    return Conversation("Name three \(kind)s.", "\(list.prefix(1).uppercased() + list.dropFirst()).")
  }

  private static func look(_ dice: inout Dice) -> Conversation {
    let (thing, colour) = dice.pick(World.looks)
    return Conversation("What colour is \(thing)?", "\(thing.prefix(1).uppercased() + thing.dropFirst()) is \(colour).")
  }

  private static func next(_ dice: inout Dice) -> Conversation {
    let (list, word) = dice.pick([(World.days, "day"), (World.months, "month")])
    let i = dice.roll(0...list.count - 1)
    let (after, before) = (list[(i + 1) % list.count], list[(i + list.count - 1) % list.count])
    return dice.pick([
      Conversation("Which \(word) comes after \(list[i])?", "\(after) comes after \(list[i])."),
      Conversation("Which \(word) comes before \(list[i])?", "\(before) comes before \(list[i])."),
    ])
  }

  private static func measure(_ dice: inout Dice) -> Conversation {
    let (question, answer) = dice.pick(World.measures)
    return Conversation("How many \(question)?", "There are \(answer).")
  }

  private static func trade(_ dice: inout Dice) -> Conversation {
    let (who, what) = dice.pick(World.trades)
    return Conversation("What does \(who.prefix(1).lowercased() + who.dropFirst()) do?", "\(who) \(what).")
  }
}
