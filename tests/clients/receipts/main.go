// receipts: checks receipts of the audit trail with Go's own packages for transparency logs, which know nothing of us.
//
//	receipts KEY FILE...
//
// KEY is the public key of the log. Every receipt must hold, and each of its parts, when it is changed, must make it fail.
// Prints "N passed, M failed" last.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type receipt struct {
	Entry      string   `json:"entry"`
	EntryKey   []byte   `json:"entryKey"`
	LeafIndex  int64    `json:"leafIndex"`
	TreeSize   int64    `json:"treeSize"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

// check is all that it takes.
func check(r receipt, verifier note.Verifier) error {
	signed, err := note.Open([]byte(r.Checkpoint), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 3 || lines[0] != verifier.Name() {
		return errors.New("the checkpoint is of another log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size != r.TreeSize {
		return errors.New("the checkpoint is of another tree")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return err
	}
	commitment := hmac.New(sha256.New, r.EntryKey)
	commitment.Write([]byte(r.Entry))
	var proof tlog.RecordProof
	for _, hash := range r.Hashes {
		proof = append(proof, tlog.Hash(hash))
	}
	return tlog.CheckRecord(proof, size, root, r.LeafIndex, tlog.RecordHash(commitment.Sum(nil)))
}

// forgeries are receipts that must not hold.
func forgeries(r receipt) map[string]receipt {
	entry, key, place, size, checkpoint := r, r, r, r, r
	entry.Entry = strings.Replace(r.Entry, `"action":"`, `"action":"x`, 1)
	key.EntryKey = append([]byte{r.EntryKey[0] ^ 1}, r.EntryKey[1:]...)
	place.LeafIndex = r.LeafIndex ^ 1
	size.TreeSize = r.TreeSize + 1
	checkpoint.Checkpoint = strings.Replace(r.Checkpoint, "epoch ", "epoch 1", 1)
	return map[string]receipt{"entry": entry, "key": key, "place": place, "size": size, "checkpoint": checkpoint}
}

func main() {
	verifier, err := note.NewVerifier(strings.TrimSpace(os.Args[1]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "the key of the log:", err)
		os.Exit(1)
	}
	other, err := note.NewVerifier(stranger)
	if err != nil {
		panic(err)
	}
	passed, failed := 0, 0
	tell := func(file, what string, ok bool) {
		if ok {
			passed++
		} else {
			failed++
			fmt.Println(file+":", what)
		}
	}
	for _, file := range os.Args[2:] {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var r receipt
		if err := json.Unmarshal(text, &r); err != nil {
			tell(file, err.Error(), false)
			continue
		}
		err = check(r, verifier)
		tell(file, fmt.Sprint("it does not hold: ", err), err == nil)
		tell(file, "it holds under another's key", check(r, other) != nil)
		for name, forged := range forgeries(r) {
			tell(file, "it holds with another "+name, check(forged, verifier) != nil)
		}
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

// stranger is the key of the example in the documentation of the package note.
const stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
