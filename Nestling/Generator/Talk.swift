/// Small talk, short stories with a question, spelling and repeating: what teaches a small model to look back at the text.
enum Talk {
  static func conversation(_ dice: inout Dice) -> Conversation {
    switch dice.roll(1...9) {
    case 1, 2: acquaintance(&dice)
    case 3: story(&dice)
    case 4: moved(&dice)
    case 5, 9: words(&dice)
    case 6: greeting(&dice)
    case 7: advice(&dice)
    default: comparison(&dice)
    }
  }

  private static func acquaintance(_ dice: inout Dice) -> Conversation {
    let (name, food, hobby) = (dice.pick(World.names), dice.pick(World.foods), dice.pick(World.hobbies))
    var talk = Conversation(
      dice.pick(["Hello, my name is \(name).", "Hi! I am \(name).", "Good morning, I am called \(name)."]),
      dice.pick(["Hello, \(name)! How can I help you?", "Nice to meet you, \(name)!"]))
    if dice.oneIn(2) { talk.add("I like \(food) and \(hobby).", "That sounds good! I will remember that you like \(food) and \(hobby).") }
    let remembersLikes = talk.turns.count > 2
    switch dice.roll(1...remembersLikes.asCount(3, or: 1)) {
    case 1: talk.add("What is my name?", "Your name is \(name).")
    case 2: talk.add("What do I like?", "You like \(food) and \(hobby).")
    default: talk.add("Do you remember me?", "Yes, you are \(name) and you like \(food) and \(hobby).")
    }
    return talk
  }

  private static func story(_ dice: inout Dice) -> Conversation {
    let people = dice.pick(2, of: World.names)
    let things = dice.pick(2, of: World.smallThings)
    let boxes = dice.pick(2, of: World.containers)
    let i = dice.roll(0...1)
    let text = "\(people[0]) put the \(things[0]) in the \(boxes[0]). \(people[1]) put the \(things[1]) in the \(boxes[1])."
    return dice.pick([
      Conversation("\(text) Where is the \(things[i])?", "The \(things[i]) is in the \(boxes[i])."),
      Conversation("\(text) Who put the \(things[i]) away?", "\(people[i]) put the \(things[i]) in the \(boxes[i])."),
      Conversation("\(text) What is in the \(boxes[i])?", "The \(things[i]) is in the \(boxes[i])."),
    ])
  }

  private static func moved(_ dice: inout Dice) -> Conversation {
    let people = dice.pick(2, of: World.names)
    let places = dice.pick(3, of: World.places)
    let text = "\(people[0]) is in the \(places[0]). \(people[1]) is in the \(places[1])."
    if dice.oneIn(2) {
      let i = dice.roll(0...1)
      return Conversation("\(text) Where is \(people[i])?", "\(people[i]) is in the \(places[i]).")
    }
    return Conversation(
      "\(text) Now \(people[0]) goes to the \(places[2]). Where is \(people[0]) now?", "\(people[0]) is in the \(places[2]) now.")
  }

  private static func words(_ dice: inout Dice) -> Conversation {
    let word = dice.pick([dice.pick(World.goods).one, dice.pick(World.colours), dice.pick(World.foods), dice.pick(World.smallThings)])
    let three = dice.pick(3, of: World.goods.map(\.one) + World.foods)
    if dice.oneIn(2) { return echo(&dice) }
    return dice.pick([
      Conversation("Spell the word \(word).", word.map(String.init).joined(separator: "-") + "."),
      Conversation("Say these words again: \(three.joined(separator: ", ")).", three.joined(separator: ", ") + "."),
      Conversation("What is the first of these words: \(three.joined(separator: ", "))?", "The first word is \(three[0])."),
      Conversation("What is the last of these words: \(three.joined(separator: ", "))?", "The last word is \(three[2])."),
      Conversation("How many letters are in the word \(word)?", "The word \(word) has \(word.count) letters."),
    ])
  }

  /// A random run of words, said again: copying is the first thing that a small model must learn.
  private static func echo(_ dice: inout Dice) -> Conversation {
    let all = World.goods.map(\.one) + World.colours + World.numbers + World.names + World.foods + World.smallThings
    let text = (0..<dice.roll(2...7)).map { _ in dice.pick(all) }.joined(separator: " ")
    return Conversation(dice.pick(["Repeat after me: \(text).", "Please say: \(text)."]), "\(text).")
  }

  private static func greeting(_ dice: inout Dice) -> Conversation {
    dice.pick([
      Conversation("How are you?", "I am fine, thank you. How can I help you?"),
      Conversation("Who are you?", "I am Nestling, a small language model trained by Swiftlet."),
      Conversation("What can you do?", "I can talk a little, solve small sums and answer simple questions."),
      Conversation("Thank you!", "You are welcome!"),
      Conversation("Good night.", "Good night! Sleep well."),
      Conversation("Goodbye!", "Goodbye! See you soon."),
    ])
  }

  private static func advice(_ dice: inout Dice) -> Conversation {
    let (food, hobby, place) = (dice.pick(World.foods), dice.pick(World.hobbies), dice.pick(World.places))
    return dice.pick([
      Conversation("I am hungry.", "You could eat some \(dice.pick(["bread", "soup", "rice", "salad", "pasta"]))."),
      Conversation("I am tired.", "You could rest for a while."),
      Conversation("I am cold.", "You could put on a warm shirt."),
      Conversation("I am bored. I like \(hobby).", "Then you could spend some time with \(hobby)."),
      Conversation("Should I go to the \(place)?", "Yes, the \(place) is a good place to go."),
      Conversation("Do you like \(food)?", "I do not eat, but many people like \(food)."),
    ])
  }

  private static func comparison(_ dice: inout Dice) -> Conversation {
    let people = dice.pick(2, of: World.names)
    let (thing, a) = (dice.pick(World.goods), dice.roll(2...40))
    let b = a + dice.roll(1...20)
    let (x, y) = dice.oneIn(2) ? (0, 1) : (1, 0)
    let counts = x == 0 ? [b, a] : [a, b]
    return Conversation(
      "\(people[0]) has \(counts[0]) \(thing.many) and \(people[1]) has \(counts[1]). Who has more \(thing.many)?",
      "\(people[x]) has more: \(counts[x]) is more than \(counts[y]).")
  }
}

extension Bool {
  fileprivate func asCount(_ yes: Int, or no: Int) -> Int { self ? yes : no }
}
