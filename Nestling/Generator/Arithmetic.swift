/// Sums, and word problems with worked steps.
enum Arithmetic {
  static func conversation(_ dice: inout Dice) -> Conversation {
    switch dice.roll(1...6) {
    case 1, 2: plain(&dice)
    case 3: buying(&dice)
    case 4: giving(&dice)
    case 5: packing(&dice)
    default: twoSteps(&dice)
    }
  }

  private static func plain(_ dice: inout Dice) -> Conversation {
    let (a, b) = (dice.roll(0...60), dice.roll(0...39))
    let (large, small) = (max(a, b), min(a, b))
    let (x, y) = (dice.roll(0...12), dice.roll(0...9))
    let (sum, result) = dice.pick([("\(a) + \(b)", a + b), ("\(large) - \(small)", large - small), ("\(x) * \(y)", x * y)])
    return Conversation(dice.pick(["What is \(sum)?", "Please compute \(sum).", "How much is \(sum)?"]), "\(sum) = \(result).")
  }

  private static func buying(_ dice: inout Dice) -> Conversation {
    let (name, thing, a, b) = (dice.pick(World.names), dice.pick(World.goods), dice.roll(2...40), dice.roll(2...30))
    let verb = dice.pick(["buys", "finds", "gets"])
    return Conversation(
      "\(name) has \(a) \(thing.many). \(name) \(verb) \(b) more. How many \(thing.many) does \(name) have now?",
      "\(name) starts with \(a) \(thing.many) and \(verb) \(b) more. \(a) + \(b) = \(a + b). The answer is \(a + b).")
  }

  private static func giving(_ dice: inout Dice) -> Conversation {
    let people = dice.pick(2, of: World.names)
    let (thing, b) = (dice.pick(World.goods), dice.roll(2...20))
    let a = b + dice.roll(1...30)
    return Conversation(
      "\(people[0]) has \(a) \(thing.many) and gives \(b) of them to \(people[1]). How many \(thing.many) are left?",
      "\(people[0]) starts with \(a) \(thing.many) and gives away \(b). \(a) - \(b) = \(a - b). The answer is \(a - b).")
  }

  private static func packing(_ dice: inout Dice) -> Conversation {
    let (thing, a, b) = (dice.pick(World.goods), dice.roll(2...9), dice.roll(2...9))
    return Conversation(
      "There are \(a) boxes with \(b) \(thing.many) in each box. How many \(thing.many) are there?",
      "There are \(a) boxes of \(b) \(thing.many). \(a) * \(b) = \(a * b). The answer is \(a * b).")
  }

  private static func twoSteps(_ dice: inout Dice) -> Conversation {
    let (name, thing) = (dice.pick(World.names), dice.pick(World.goods))
    let (a, b) = (dice.roll(3...30), dice.roll(2...20))
    let c = dice.roll(1...a + b - 1)
    return Conversation(
      "\(name) has \(a) \(thing.many), buys \(b) more and then loses \(c). How many \(thing.many) does \(name) have?",
      "First, \(a) + \(b) = \(a + b). Then, \(a + b) - \(c) = \(a + b - c). The answer is \(a + b - c).")
  }
}
