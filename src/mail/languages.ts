/** The languages of mails and pages. */
export const languages = ['en', 'fr', 'de'] as const

export type Language = (typeof languages)[number]

/** Of an `Accept-Language` header more is not looked at. */
const longestHeader = 1000

/** The language that an `Accept-Language` header or a language tag wants most, of those there are. */
export function languageOf(wanted: string | undefined, otherwise: Language): Language {
  const ranges = (wanted ?? '').slice(0, longestHeader).split(',')
  const ranked = ranges.map((range) => {
    const [tag, ...parameters] = range.split(';')
    const quality = parameters.map((one) => /^\s*q=([01](?:\.\d{0,3})?)\s*$/i.exec(one)?.[1]).find((one) => one)
    return { primary: tag!.trim().toLowerCase().split(/[-_]/)[0], quality: quality === undefined ? 1 : Number(quality) }
  })
  const best = ranked
    .filter(({ quality }) => quality > 0)
    .sort((one, other) => other.quality - one.quality)
    .find(({ primary }) => primary === '*' || languages.some((language) => language === primary))
  return languages.find((language) => language === best?.primary) ?? otherwise
}
