/**
 * The stages as they were last read, kept in a file, so that a process can start while the control schema is out of
 * reach. What it says is old: until the table was read, such a node reads the source first.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';

import type { StageRow } from '../db/stages.ts';
import type { Capture } from '../domain/capture.ts';
import { isStage } from '../domain/stage.ts';

export interface Kept {
  readonly control: string;
  /** Epoch milliseconds of this machine. */
  readonly savedAt: number;
  readonly capture: Capture;
  readonly stages: readonly StageRow[];
}

/** Whole or not at all: a reader never sees half a file. */
export async function keep(file: string, kept: Kept): Promise<void> {
  const part = `${file}.${process.pid}`;
  await writeFile(part, JSON.stringify(kept), { mode: 0o600 });
  await rename(part, file);
}

/** @returns null when there is none, or none of this control schema */
export async function readKept(file: string, control: string): Promise<Kept | null> {
  try {
    const kept = JSON.parse(await readFile(file, 'utf8')) as Kept;
    const isUsable = kept.control === control && kept.stages.every(({ stage }) => isStage(stage));
    return isUsable ? kept : null;
  } catch {
    return null; // missing, or damaged
  }
}
