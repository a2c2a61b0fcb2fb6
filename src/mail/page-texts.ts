import type { MailPurpose } from '../storage/mail-validations.ts'
import type { Language } from './languages.ts'

type PageText = { readonly title: string; readonly text: string; readonly button?: string }
type PageTexts = { readonly [Kind in MailPurpose | 'done' | 'failed' | 'unsubscribe' | 'ended']: PageText }

const texts: { readonly [L in Language]: PageTexts } = {
  en: {
    register: {
      title: 'Confirm your address',
      text: 'You want to register with this mail address.',
      button: 'Confirm',
    },
    add: {
      title: 'Confirm your address',
      text: 'You want to add this mail address to your account.',
      button: 'Confirm',
    },
    password: {
      title: 'Reset your password',
      text: 'You want to set a new password. If you have not asked for it yourself, close this page.',
      button: 'Allow a new password',
    },
    unsubscribe: {
      title: 'No more mails about unread messages',
      text: 'You no longer want to be told by mail of what you have not read.',
      button: 'End these mails',
    },
    ended: { title: 'Ended', text: 'You get no more mails about unread messages.' },
    done: { title: 'Confirmed', text: 'You can close this page and go back to where you asked for the mail.' },
    failed: {
      title: 'This link is not good any more',
      text: 'It was used already, or is too old. Ask for another mail where you asked for this one.',
    },
  },
  fr: {
    register: {
      title: 'Confirmez votre adresse',
      text: 'Vous souhaitez vous inscrire avec cette adresse.',
      button: 'Confirmer',
    },
    add: {
      title: 'Confirmez votre adresse',
      text: 'Vous souhaitez ajouter cette adresse à votre compte.',
      button: 'Confirmer',
    },
    password: {
      title: 'Réinitialisez votre mot de passe',
      text: 'Vous souhaitez choisir un nouveau mot de passe. Si vous ne l’avez pas demandé vous-même, fermez cette page.',
      button: 'Autoriser un nouveau mot de passe',
    },
    unsubscribe: {
      title: 'Ne plus recevoir ces courriels',
      text: 'Vous ne souhaitez plus être averti par courriel de vos messages non lus.',
      button: 'Ne plus recevoir ces courriels',
    },
    ended: { title: 'C’est fait', text: 'Vous ne recevrez plus de courriels sur vos messages non lus.' },
    done: {
      title: 'C’est confirmé',
      text: 'Vous pouvez fermer cette page et retourner là où vous avez demandé ce courriel.',
    },
    failed: {
      title: 'Ce lien n’est plus valable',
      text: 'Il a déjà servi, ou il est trop ancien. Demandez un autre courriel là où vous avez demandé celui-ci.',
    },
  },
  de: {
    register: {
      title: 'Adresse bestätigen',
      text: 'Sie möchten sich mit dieser Adresse anmelden.',
      button: 'Bestätigen',
    },
    add: {
      title: 'Adresse bestätigen',
      text: 'Sie möchten diese Adresse Ihrem Konto hinzufügen.',
      button: 'Bestätigen',
    },
    password: {
      title: 'Neues Passwort',
      text: 'Sie möchten ein neues Passwort setzen. Wenn Sie das nicht selbst verlangt haben, schließen Sie diese Seite.',
      button: 'Neues Passwort erlauben',
    },
    unsubscribe: {
      title: 'Keine Mails mehr über ungelesene Nachrichten',
      text: 'Sie möchten nicht mehr durch Mails von ungelesenen Nachrichten erfahren.',
      button: 'Diese Mails beenden',
    },
    ended: { title: 'Beendet', text: 'Sie erhalten keine Mails mehr über ungelesene Nachrichten.' },
    done: {
      title: 'Bestätigt',
      text: 'Sie können diese Seite schließen und dorthin zurückgehen, wo Sie die Nachricht verlangt haben.',
    },
    failed: {
      title: 'Dieser Link gilt nicht mehr',
      text: 'Er wurde schon verwendet oder ist zu alt. Verlangen Sie eine neue Nachricht dort, wo Sie diese verlangt haben.',
    },
  },
}

/** What the pages behind the links of mails say. */
export function pageTexts(language: Language): PageTexts {
  return texts[language]
}
