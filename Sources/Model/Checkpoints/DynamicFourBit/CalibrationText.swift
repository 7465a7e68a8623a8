import SwiftletTokenizers

/// What `dynamic4bit` measures on where nobody says on what: a little prose, talk, arithmetic, code, tables and other languages, written for this.
package enum CalibrationText {
  /// Most tokens of a row.
  package static let rowTokens = 256
  /// Most tokens of all rows together.
  package static let tokens = 8192

  /// 64 ids spread over the vocabulary: what is measured on where there is no text.
  package static func spread(_ vocabulary: Int) -> [Int32] { (0..<64).map { Int32($0 * 2_654_435 % vocabulary) } }

  /// The beginnings of rows: of each `rowTokens` at most, `tokens` in all.
  package static func beginnings(_ rows: [[Int32]]) -> [[Int32]] {
    var (found, left): ([[Int32]], Int) = ([], tokens)
    for row in rows where left > 0 && !row.isEmpty {
      found.append(Array(row.prefix(min(rowTokens, left))))
      left -= found[found.count - 1].count
    }
    return found
  }

  /// The passages as token ids below `vocabulary`; none without a tokenizer.
  package static func rows(_ folder: String?, vocabulary: Int) throws -> [[Int32]] {
    guard let folder, try CompanionFiles.holdTokenizer(folder) else { return [] }
    let tokenizer = try Tokenizer.load(folder: folder)
    return try passages.map { try tokenizer.encode($0).prefix(rowTokens).compactMap { Int32(exactly: $0) } }
      .filter { !$0.isEmpty && $0.allSatisfy { $0 >= 0 && Int($0) < vocabulary } }
  }

  private static let passages = [
    """
    The harbour froze in the second week of January, which nobody in the town had seen before. Boats that had been tied up for the night could \
    not leave in the morning, and the ferry to the islands was cancelled until further notice. At first people came down to the quay only to \
    look. Then a baker carried out a table and sold rolls and hot coffee on the ice, and by Saturday there was a market from the old crane to \
    the lighthouse, with lamps, a brass band and a slide for the children.
    """,
    """
    User: Could you explain why the sky is blue, and why it turns red in the evening?
    Assistant: Sunlight is a mixture of colours. When it passes through the air, molecules scatter short wavelengths, such as blue, far more \
    strongly than long ones, so blue light reaches your eyes from every direction. In the evening the light takes a longer way through the \
    atmosphere; most of the blue has been scattered out of the beam before it arrives, and what is left is orange and red.
    User: Thanks! Does the same happen on Mars?
    Assistant: Almost the opposite: fine dust makes the Martian sky pinkish by day and bluish around the setting sun.
    """,
    """
    Question: A shop sells pens at 3 dollars each and notebooks at 7 dollars each. Maria buys 4 pens and 2 notebooks and pays with a 50 dollar \
    note. How much change does she get?
    Answer: The pens cost 4 * 3 = 12 dollars. The notebooks cost 2 * 7 = 14 dollars. Together that is 12 + 14 = 26 dollars, so the change is \
    50 - 26 = 24 dollars. The answer is 24.
    """,
    """
    def binary_search(items, target):
        \"\"\"Returns the index of target in the sorted list items, or None.\"\"\"
        low, high = 0, len(items)
        while low < high:
            middle = (low + high) // 2
            if items[middle] < target:
                low = middle + 1
            else:
                high = middle
        return low if low < len(items) and items[low] == target else None

    assert binary_search([1, 3, 5, 8], 5) == 2
    """,
    """
    ## Installation

    1. Download the archive and check its signature.
    2. Unpack it with `tar -xzf release.tar.gz`, then run `make install PREFIX=$HOME/.local`.

    | setting | default | meaning |
    | --- | ---: | --- |
    | `threads` | 8 | how many requests are served at once |
    | `timeout` | 30 | seconds until a request is given up |

    {"name": "example", "version": "1.4.2", "tags": ["fast", "small"], "enabled": true}
    """,
    """
    In 1676 Ole Rømer noticed that the eclipses of Jupiter's moon Io came later when the Earth was moving away from Jupiter, and concluded that \
    light needs time to travel. The theorem states that for every prime p and every integer a that p does not divide, a^(p-1) leaves the \
    remainder 1 when it is divided by p. Mitochondria release the energy of glucose by oxidation, while chloroplasts store the energy of light.
    """,
    """
    Der Zug nach Hamburg fährt heute von Gleis sieben und kommt etwa zwanzig Minuten später an. Le lendemain, nous avons marché jusqu'au \
    village, où l'on vendait du pain, du fromage et des pommes. La biblioteca abre a las nueve y cierra a las ocho, excepto los domingos. \
    今天天气很好，我们去公园散步吧。昨日、友達と映画を見ました。Сегодня вечером мы пойдём в театр.
    """,
    """
    Dear Ms Okafor, thank you for your letter of 12 May. We are sorry that the second parcel has not reached you. According to our records it \
    left the warehouse on Thursday; we have asked the carrier to trace it and will send a replacement, free of charge, if it is not found \
    within three working days. Kind regards, Customer Service
    """,
  ]
}
