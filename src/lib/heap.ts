/** Items in order of `at`, the least first; of equals in any order. */
export class Heap<Item extends { readonly at: number }> {
  readonly #items: Item[] = [];

  get least(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    const items = this.#items;
    let index = items.push(item) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || parent.at <= item.at) break;
      items[index] = parent;
      index = above;
    }
    items[index] = item;
  }

  pop(): Item | undefined {
    const items = this.#items;
    const least = items[0];
    const last = items.pop();
    if (least === undefined || last === undefined || items.length === 0) return least;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const right = left + 1;
      let child = items[left];
      let below = left;
      const other = items[right];
      if (child === undefined) break;
      if (other !== undefined && other.at < child.at) {
        child = other;
        below = right;
      }
      if (last.at <= child.at) break;
      items[index] = child;
      index = below;
    }
    items[index] = last;
    return least;
  }
}
