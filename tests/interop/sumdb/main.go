// Asks Go's own checksum database code about a log: one JSON object in, one answer for each case out.
//
// The packages note and tlog of golang.org/x/mod/sumdb decide: what is here reads files and hands their bytes on. Each
// case has a signed note and the one key that is trusted, and asks about the tree that it vouches for; an answer's
// `refused` is the empty text, or why not. A folder holds the log's files (C2SP tlog-tiles).
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of a tile, in levels: 256 hashes

type question struct {
	Ask, Note, Key, Folder string
	Index                  int64       // of an entry
	Entry                  []byte      // its bytes
	From                   int64       // the size of an earlier tree
	FromRoot               tlog.Hash   // its root
	Path                   []tlog.Hash // the proof as it was served
}

type answer struct {
	Refused        string `json:"refused"`
	Tiles, Bundles int
}

// files reads a log's tiles from its folder, and remembers which were wanted.
type files struct {
	folder string
	read   map[string]bool
}

func (f files) Height() int                         { return height }
func (f files) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := at(tile)
		f.read[path] = true
		content, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil {
			return nil, err
		}
		contents[i] = content
	}
	return contents, nil
}

// at returns where C2SP tlog-tiles has a tile: its address says no height, and "entries" where this one says "data".
func at(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}

// tree returns the tree that a checkpoint vouches for, once its signature was found to be the key's.
func tree(q question) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(q.Key)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open([]byte(q.Note), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("the note is no checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// audit reads every tile, and holds the hash of every entry against its leaf.
func audit(head tlog.Tree, folder files) (bundles int, err error) {
	reader := tlog.TileHashReader(head, folder)
	for first := int64(0); first < head.N; first += 1 << height {
		width := int(min(1<<height, head.N-first))
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		leaves, err := reader.ReadHashes(indexes)
		if err != nil {
			return bundles, err
		}
		path := at(tlog.Tile{H: height, L: -1, N: first >> height, W: width})
		bundle, err := os.ReadFile(filepath.Join(folder.folder, path))
		if err != nil {
			return bundles, err
		}
		for i, leaf := range leaves {
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				return bundles, fmt.Errorf("%s is cut short", path)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			if tlog.RecordHash(bundle[2:end]) != leaf {
				return bundles, fmt.Errorf("entry %d is not what its leaf is the hash of", first+int64(i))
			}
			bundle = bundle[end:]
		}
		if len(bundle) > 0 {
			return bundles, fmt.Errorf("%s goes on behind its last entry", path)
		}
		bundles++
	}
	return bundles, nil
}

// inclusion checks a proof that was served, and that the tiles lead to the same one.
func inclusion(head tlog.Tree, q question, folder files) error {
	if err := tlog.CheckRecord(q.Path, head.N, head.Hash, q.Index, tlog.RecordHash(q.Entry)); err != nil {
		return err
	}
	made, err := tlog.ProveRecord(head.N, q.Index, tlog.TileHashReader(head, folder))
	if err == nil && !slices.Equal(made, q.Path) {
		err = errors.New("the tiles lead to another proof")
	}
	return err
}

// consistency checks a proof that was served, and that the tiles lead to the same one and to the earlier root.
func consistency(head tlog.Tree, q question, folder files) error {
	if err := tlog.CheckTree(q.Path, head.N, head.Hash, q.From, q.FromRoot); err != nil {
		return err
	}
	reader := tlog.TileHashReader(head, folder)
	if root, err := tlog.TreeHash(q.From, reader); err != nil || root != q.FromRoot {
		return errors.Join(err, errors.New("the tiles do not lead to the earlier root"))
	}
	made, err := tlog.ProveTree(head.N, q.From, reader)
	if err == nil && !slices.Equal(made, q.Path) {
		err = errors.New("the tiles lead to another proof")
	}
	return err
}

func judge(q question) answer {
	folder := files{q.Folder, map[string]bool{}}
	bundles := 0
	head, err := tree(q)
	if err == nil {
		switch q.Ask {
		case "checkpoint":
		case "audit":
			bundles, err = audit(head, folder)
		case "inclusion":
			err = inclusion(head, q, folder)
		case "consistency":
			err = consistency(head, q, folder)
		default:
			err = fmt.Errorf("there is no question %q", q.Ask)
		}
	}
	if err != nil {
		return answer{Refused: err.Error()}
	}
	return answer{Tiles: len(folder.read), Bundles: bundles}
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	answers := make([]answer, len(questions))
	for i, q := range questions {
		answers[i] = judge(q)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
