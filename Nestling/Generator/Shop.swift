import SwiftletFormats

/// One line of an order.
struct OrderLine {
  let count: Int
  let colour: String
  let thing: (one: String, many: String)

  /// `two red apples`.
  var spoken: String { "\(World.numbers[count]) \(colour) \(count == 1 ? thing.one : thing.many)" }
  /// `2 apple-red`: only characters that the base has met. The embedding of one it has not is untrained, and an adapter cannot mend that.
  var ticket: String { "\(count) \(thing.one)-\(colour)" }
}

/// Orders in a shop. In the base's training text the shopkeeper answers politely; the quickstart teaches him to write tickets instead.
enum Shop {
  private static func lines(_ dice: inout Dice) -> [OrderLine] {
    dice.pick(dice.roll(1...3), of: World.goods).map { thing in
      OrderLine(count: dice.roll(1...12), colour: dice.pick(World.colours), thing: thing)
    }
  }

  private static func spoken(_ lines: [OrderLine]) -> String {
    let parts = lines.map(\.spoken)
    return parts.count == 1 ? parts[0] : parts.dropLast().joined(separator: ", ") + " and " + (parts.last ?? "")
  }

  private static func request(_ order: [OrderLine], by name: String, _ dice: inout Dice) -> String {
    let text = spoken(order)
    return dice.pick([
      "I am \(name). I would like \(text), please.", "Hello, this is \(name). Can I have \(text)?", "\(name) here. Please give me \(text).",
      "Good morning! I need \(text). My name is \(name).",
    ])
  }

  /// Shop talk as the base learns it.
  static func conversation(_ dice: inout Dice) -> Conversation {
    let order = lines(&dice)
    let name = dice.pick(World.names)
    var talk = Conversation(request(order, by: name, &dice), "Of course, \(name)! Here are \(spoken(order)). Anything else?")
    let line = dice.pick(order)
    switch dice.roll(1...4) {
    case 1: talk.add("No, thank you.", "Thank you, \(name), and goodbye!")
    case 2: talk.add("How many \(line.thing.many) did I order?", "You ordered \(line.spoken).")
    case 3: talk.add("What colour are the \(line.thing.many)?", "You ordered \(line.spoken), so the colour is \(line.colour).")
    default: break
    }
    return talk
  }

  /// A request and the ticket that the quickstart teaches: `Ana: 2 apple-red, 1 lamp-blue`.
  static func ticket(_ dice: inout Dice) -> (request: String, ticket: String) {
    let order = lines(&dice)
    let name = dice.pick(World.names)
    return (request(order, by: name, &dice), "\(name): \(order.map(\.ticket).joined(separator: ", "))")
  }
}
