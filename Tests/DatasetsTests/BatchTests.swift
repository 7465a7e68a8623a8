import Foundation
import SwiftletDatasets
import SwiftletFormats
import Testing

@Suite struct PackingTests {
  /// Every token of every row once (up to the cut of `bfd`), no pack over capacity.
  @Test func nothingIsLost() {
    let random = CounterRandom(seed: 1, stream: 1)
    for capacity in [1, 2, 16, 63, 64, 65, 4096] {
      let lengths = (0..<300).map { Int(random[UInt64($0)] % UInt64(capacity + capacity / 2 + 1)) }
      for packing in Packing.allCases {
        let packs = packing.packs(lengths: lengths, capacity: capacity)
        #expect(packs.allSatisfy { (1...capacity).contains($0.reduce(0) { $0 + $1.range.count }) })
        var covered = lengths.map { [Bool](repeating: false, count: $0) }
        for segment in packs.joined() {
          for token in segment.range {
            #expect(!covered[segment.row][token])
            covered[segment.row][token] = true
          }
        }
        for row in covered {
          #expect(row.prefix(packing == .bfd ? capacity : row.count).allSatisfy { $0 })
          if packing == .bfd { #expect(row.dropFirst(capacity).allSatisfy { !$0 }) }
        }
      }
    }
    for packing in Packing.allCases { #expect(packing.packs(lengths: [], capacity: 4).isEmpty) }
  }

  @Test func aMillionRowsInSeconds() {
    let random = CounterRandom(seed: 2, stream: 1)
    let lengths = (0..<1_000_000).map { Int(random[UInt64($0)] % 3000) }
    let seconds = processorSeconds {
      let packs = Packing.bfd.packs(lengths: lengths, capacity: 4096)
      #expect(packs.count < 380_000)
    }
    #expect(seconds < 20)
  }

  /// `sft_pipeline.json`, made by TRL's `pack_dataset`: the same packs as multisets.
  @Test func equalToTRL() throws {
    guard let folder = fixtures("sft_pipeline") else { return }
    let text = try String(contentsOfFile: "\(folder)/sft_pipeline.json", encoding: .utf8)
    let packing = try #require(try JSON(parsing: text)["packing"])
    func rows(_ value: JSON?) throws -> [[Int]] { try #require(value?.array).map { try #require($0.array).compactMap(\.int) } }
    let sequences = try rows(packing["sequences"])
    let labels = sequences.map { $0.enumerated().map { $0 % 3 == 0 ? -100 : $1 } }
    for (name, expected) in try #require(packing["expected"]?.object) {
      let strategy = try #require(Packing(rawValue: name), "unknown strategy \(name)")
      let packs = strategy.packs(lengths: sequences.map(\.count), capacity: try #require(packing["seq_length"]?.int))
      func joined(_ rows: [[Int]]) -> [[Int]] { packs.map { $0.flatMap { rows[$0.row][$0.range] } } }
      func sorted(_ rows: [[Int]]) -> [[Int]] { rows.sorted { $0.lexicographicallyPrecedes($1) } }
      #expect(sorted(joined(sequences)) == sorted(try rows(expected["input_ids"])), "\(name)")
      #expect(sorted(joined(labels)) == sorted(try rows(expected["labels"])), "\(name)")
      if let lengths = expected["seq_lengths"] {
        #expect(sorted(packs.map { $0.map(\.range.count) }) == sorted(try rows(lengths)), "\(name)")
      }
    }
  }
}

@Suite struct BatchTests {
  private func source(_ options: BatchSource.Options, rows: Int = 37) throws -> BatchSource {
    let folder = try TemporaryFolder()
    let text = (0..<rows).map { "{\"text\":\"\(String(repeating: "x", count: $0 % 7))\($0)\"}" }.joined(separator: "\n")
    let data = try Dataset(try folder.write("a.jsonl", text), DatasetOptions(layout: .text))
    return BatchSource(try TokenizedDataset(data, RowRenderer(codec: scalarCodec(), template: nil, contextLength: 16)), options)
  }

  @Test func everyRowOnceAnEpoch() throws {
    for packing in [nil, Packing.bfd, .bfdSplit, .wrapped] {
      for (shuffle, size) in [(true, 4), (false, 3), (true, 100)] {
        let source = try source(BatchSource.Options(batchSize: size, packing: packing, shuffle: shuffle, seed: 5))
        var epochs: [[MicroBatch]] = []
        var cursor = BatchCursor()
        for epoch in 0..<2 {
          var batches: [MicroBatch] = []
          while cursor.epoch == epoch {
            batches.append(try source.batch(at: cursor))
            cursor = source.next(after: cursor)
          }
          #expect(batches.count == source.batchesPerEpoch)
          #expect(batches.reduce(0) { $0 + $1.ids.count } == source.data.lengths.reduce(0, +))
          #expect(batches.allSatisfy { $0.ids.count <= source.largestBatch && $0.lengths.reduce(0, +) == $0.ids.count })
          epochs.append(batches)
        }
        #expect((epochs[0] == epochs[1]) == !shuffle || source.units == 1)
        #expect(epochs[0].flatMap(\.ids).sorted() == epochs[1].flatMap(\.ids).sorted())
      }
    }
  }

  @Test func resumingGivesTheSameBatches() throws {
    let options = BatchSource.Options(batchSize: 2, packing: .bfd, seed: 11)
    let first = try source(options)
    let second = try source(options)
    var cursor = BatchCursor()
    for _ in 0..<30 {
      let saved = try JSONDecoder().decode(BatchCursor.self, from: try JSONEncoder().encode(cursor))
      #expect(try second.batch(at: saved) == first.batch(at: cursor))
      cursor = first.next(after: cursor)
    }
    #expect(cursor.epoch > 1)
  }

  @Test func targetsStayInTheirSequence() throws {
    let source = try source(BatchSource.Options(batchSize: 3, shuffle: false), rows: 3)
    let batch = try source.batch(at: BatchCursor())
    let x = Int32(UInt8(ascii: "x"))
    let end: Int32 = 2_000_000
    #expect(batch.ids == [48, end, x, 49, end, x, x, 50, end])
    #expect(batch.starts == [0, 2, 5, 9])
    #expect(batch.targets == [end, -100, 49, end, -100, x, 50, end, -100])
    #expect(batch.trainedTokens == 6)
    #expect(batch.lengths == [2, 3, 4])
  }
}
