/// The small world that Nestling knows: words and true facts.
enum World {
  static let names = [
    "Ana", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jack", "Kim", "Leo", "Mia", "Noah", "Olga", "Paul", "Rosa",
    "Sam",
    "Tina", "Victor", "Wendy", "Yara", "Zoe", "Tom",
  ]
  static let colours = ["red", "green", "blue", "yellow", "white", "black", "brown", "orange", "purple", "pink", "grey"]
  /// Things that one can buy and count: singular and plural.
  static let goods: [(one: String, many: String)] = [
    ("apple", "apples"), ("pear", "pears"), ("plum", "plums"), ("lemon", "lemons"), ("melon", "melons"), ("onion", "onions"),
    ("carrot", "carrots"), ("egg", "eggs"), ("cake", "cakes"), ("pen", "pens"), ("book", "books"), ("cup", "cups"), ("plate", "plates"),
    ("ball", "balls"), ("hat", "hats"), ("shirt", "shirts"), ("chair", "chairs"), ("lamp", "lamps"), ("box", "boxes"), ("bag", "bags"),
    ("candle", "candles"), ("ribbon", "ribbons"), ("button", "buttons"), ("coin", "coins"),
  ]
  static let numbers = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
  ]
  static let foods = ["bread", "cheese", "rice", "soup", "salad", "pasta", "fish", "honey", "cake", "tea", "milk", "coffee"]
  static let hobbies = ["reading", "swimming", "painting", "cooking", "dancing", "running", "singing", "gardening", "chess", "music"]
  static let places = ["kitchen", "garden", "school", "park", "library", "office", "garage", "market", "station", "museum"]
  static let containers = ["box", "drawer", "bag", "basket", "cupboard", "pocket", "jar", "suitcase"]
  static let smallThings = ["key", "ring", "letter", "coin", "phone", "ticket", "watch", "map", "photo", "pencil"]
  static let capitals = [
    ("France", "Paris"), ("Germany", "Berlin"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Portugal", "Lisbon"), ("Greece", "Athens"),
    ("Austria", "Vienna"), ("Poland", "Warsaw"), ("Sweden", "Stockholm"), ("Norway", "Oslo"), ("Finland", "Helsinki"),
    ("Denmark", "Copenhagen"), ("Ireland", "Dublin"), ("Japan", "Tokyo"), ("China", "Beijing"), ("Egypt", "Cairo"), ("Kenya", "Nairobi"),
    ("Canada", "Ottawa"), ("Peru", "Lima"), ("Cuba", "Havana"), ("Turkey", "Ankara"), ("Hungary", "Budapest"),
  ]
  static let opposites = [
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("old", "new"), ("long", "short"), ("happy", "sad"), ("light", "heavy"),
    ("early", "late"), ("open", "closed"), ("full", "empty"), ("high", "low"), ("wet", "dry"), ("hard", "soft"), ("loud", "quiet"),
  ]
  static let legs = [
    ("dog", 4), ("cat", 4), ("horse", 4), ("cow", 4), ("bird", 2), ("hen", 2), ("duck", 2), ("bee", 6), ("ant", 6), ("spider", 8),
    ("fish", 0),
  ]
  static let sounds = [
    ("dog", "barks"), ("cat", "meows"), ("cow", "moos"), ("duck", "quacks"), ("bee", "buzzes"), ("lion", "roars"), ("frog", "croaks"),
    ("horse", "neighs"), ("snake", "hisses"), ("owl", "hoots"),
  ]
  static let kinds = [
    ("fruit", ["an apple", "a pear", "a plum", "a lemon", "a melon", "a banana"]),
    ("animal", ["a dog", "a cat", "a horse", "a cow", "a duck", "a lion"]),
    ("vegetable", ["an onion", "a carrot", "a potato", "a cabbage", "a leek"]),
    ("colour", ["red", "green", "blue", "yellow", "white"]),
    ("tool", ["a hammer", "a saw", "a spade", "a drill", "a rake"]),
    ("vehicle", ["a car", "a bus", "a train", "a boat", "a bicycle"]),
  ]
  static let looks = [
    ("the sky on a clear day", "blue"), ("grass", "green"), ("snow", "white"), ("a lemon", "yellow"), ("coal", "black"),
    ("a ripe tomato", "red"),
    ("a carrot", "orange"), ("chocolate", "brown"), ("milk", "white"),
  ]
  static let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
  static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
  ]
  static let measures = [
    ("seconds are in a minute", "60 seconds in a minute"), ("minutes are in an hour", "60 minutes in an hour"),
    ("hours are in a day", "24 hours in a day"), ("days are in a week", "7 days in a week"),
    ("months are in a year", "12 months in a year"),
    ("metres are in a kilometre", "1000 metres in a kilometre"), ("grams are in a kilogram", "1000 grams in a kilogram"),
    ("sides does a triangle have", "3 sides in a triangle"), ("sides does a square have", "4 sides in a square"),
  ]
  static let trades = [
    ("A baker", "bakes bread"), ("A teacher", "teaches children"), ("A farmer", "grows food"), ("A doctor", "helps people who are ill"),
    ("A pilot", "flies planes"), ("A painter", "paints pictures"), ("A cook", "prepares meals"), ("A tailor", "makes clothes"),
  ]
}
