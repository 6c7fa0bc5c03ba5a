import { journalContract } from '../contract/journal.js';
import { lmdbHarness, memoryHarness } from '../support/journal-harness.js';

journalContract('MemoryJournal', memoryHarness);
journalContract('LmdbJournal', lmdbHarness);
