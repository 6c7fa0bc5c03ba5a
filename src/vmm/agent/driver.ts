import type { VmConfig } from '../../config/config.js';
import type { Logger } from '../../lib/logger.js';
import { already, failed, Running, unsupported } from '../act.js';
import type { AgentHello, AgentLink, AgentVerb, Attachment } from '../attach.js';
import type {
  Act,
  Capabilities,
  Driver,
  DumpTarget,
  Inspection,
  Outcome,
  TakeOver,
  Watch,
} from '../driver.js';
import { refuse } from '../refuse.js';
import { Contact } from './contact.js';
import { notAttachedFault, stoppedFault } from './errors.js';
import { prove, refuseVerb } from './prove.js';
import { TUNING, type Tuning } from './tuning.js';

export interface AgentDriverOptions {
  readonly vm: VmConfig;
  readonly log: Pick<Logger, 'debug' | 'info' | 'warn'>;
  readonly tuning?: Partial<Tuning>;
}

/** A driver that an agent has to attach to before it can do anything. */
export interface AgentDriver extends Driver {
  attach(hello: AgentHello, link: AgentLink): Attachment;
}

export const createAgentDriver = (options: AgentDriverOptions): AgentDriver =>
  new AgentVmDriver(options);

const NO_START = 'NO_START_COMMAND';
const NO_START_TEXT = 'an agent speaks for one VMM process, and is not asked to start another';
const NOTHING: TakeOver = { panic: false, shutdown: false, watchdog: false };
/** No Fault of an agent's says that nothing was done: that is said by outcomes. */
const NO_REFUSAL = '';

class AgentVmDriver implements AgentDriver {
  readonly kind = 'agent';
  readonly #tuning: Tuning;
  readonly #contact: Contact;
  #acting = false;

  constructor(options: AgentDriverOptions) {
    this.#tuning = { ...TUNING, ...options.tuning };
    this.#contact = new Contact({ ...options, tuning: this.#tuning });
  }

  /** Those of the agent that is or was attached; before the first one nothing is known to be impossible. */
  capabilities(): Capabilities {
    const hello = this.#contact.hello;
    const ability = (verb: AgentVerb) =>
      hello === null || hello.verbs.has(verb)
        ? ({ able: true } as const)
        : ({ able: false, reason: cannot(verb) } as const);
    return {
      verbs: {
        restart: ability('restart'),
        restartProcess: { able: false, reason: `${NO_START}: ${NO_START_TEXT}` },
        dump: ability('dump'),
        powerOff: ability('powerOff'),
        pause: ability('pause'),
        resume: ability('resume'),
        nmi: ability('nmi'),
      },
      takeOver: hello?.takeOver ?? true,
    };
  }

  attach(hello: AgentHello, link: AgentLink): Attachment {
    return this.#contact.attach(hello, link);
  }

  start(watch: Watch): Promise<void> {
    return this.#contact.keep(watch);
  }

  async inspect(signal: AbortSignal): Promise<Inspection> {
    if (signal.aborted) throw stoppedFault();
    return await orAborted(this.#contact.inspect(), signal);
  }

  restart(act: Act): Promise<Outcome> {
    return this.#act('restart', act, '');
  }

  dump(act: Act & DumpTarget): Promise<Outcome> {
    return this.#act('dump', act, act.path);
  }

  powerOff(act: Act): Promise<Outcome> {
    return this.#act('powerOff', act, '');
  }

  pause(act: Act): Promise<Outcome> {
    return this.#act('pause', act, '');
  }

  resume(act: Act): Promise<Outcome> {
    return this.#act('resume', act, '');
  }

  nmi(act: Act): Promise<Outcome> {
    return this.#act('nmi', act, '');
  }

  async restartProcess(_act: Act): Promise<Outcome> {
    return unsupported(NO_START, NO_START_TEXT);
  }

  async refresh(): Promise<void> {
    await this.#contact.tellTakeOver();
  }

  async release(signal: AbortSignal): Promise<void> {
    const { session } = this.#contact;
    if (session?.hello.takeOver !== true) return;
    await orAborted(session.takeOver(NOTHING), signal);
  }

  /** One act at a time; whatever happens, an outcome by its deadline. */
  async #act(verb: AgentVerb, act: Act, dumpPath: string): Promise<Outcome> {
    if (this.#acting) return failed('BUSY', 'another act on this VM is not over yet');
    if (this.#contact.view?.state === 'exited') {
      return verb === 'powerOff'
        ? already(['process gone'], 'exited')
        : failed('VMM_GONE', 'the VMM process has ended');
    }
    const { session } = this.#contact;
    if (session === null) {
      return failed('NOT_CONNECTED', notAttachedFault(this.#contact.reason).message);
    }
    if (!session.hello.verbs.has(verb)) return unsupported('AGENT_CANNOT', cannot(verb));
    this.#acting = true;
    const running = new Running(act, NO_REFUSAL);
    try {
      return await this.#carryOut(verb, act, dumpPath, running);
    } catch (error) {
      const outcome = running.outcomeOf(error);
      this.#contact.giveUpStep('reason' in outcome ? outcome.reason : '');
      return outcome;
    } finally {
      running.end();
      this.#acting = false;
    }
  }

  async #carryOut(verb: AgentVerb, act: Act, dumpPath: string, running: Running): Promise<Outcome> {
    const before = await running.wait(this.#contact.inspect());
    const hasRun = this.#contact.view?.hasRun ?? false;
    const refused =
      refuse(before, act, { hasRun, migration: 'told by its agent' }) ??
      refuseVerb(verb, before, act);
    if (refused !== null) return refused;

    running.point(verb);
    const settled = this.#contact.beginStep({
      id: act.id,
      verb,
      dumpPath,
      endsAtMs: performance.now() + running.leftMs(),
      onProgress: (progress) => act.onProgress?.(progress),
    });
    running.wrote(verb);
    const said = await running.wait(settled);
    if ('reason' in said)
      return verb === 'powerOff' ? await this.#offAllTheSame(said, running) : said;
    running.proof.push(...said.proof);
    const after = await running.wait(this.#contact.inspectOnceAttached());
    return await running.wait(prove(verb, said, before, after, dumpPath));
  }

  /** A VMM that is gone is off, whoever ended it and whatever its agent could do about it. */
  async #offAllTheSame(said: Outcome, running: Running): Promise<Outcome> {
    const after = await running.wait(this.#contact.inspect()).catch(() => null);
    return after?.state === 'exited'
      ? already([...said.proof, `the agent says ${said.kind}`, 'process gone'], 'exited')
      : said;
  }
}

const cannot = (verb: AgentVerb): string =>
  `this VM's agent did not name ${verb} among what it can do`;

const orAborted = <T>(promise: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const onAbort = (): void => reject(stoppedFault());
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
